/* fable.h: the native contract of libfable.so.
 *
 * Every function may be called from any thread unless it says "owner": a channel belongs to the thread that created it, and is closed when
 * that thread ends.
 * Every function returns a status: zero or a positive result on success, a negative FABLE_* code otherwise.
 * Pointers are borrowed for the duration of the call unless a comment says who owns them afterwards.
 * File descriptors returned are close-on-exec and owned by the caller; descriptors passed in are consumed only where stated.
 * A forked child must not use a handle of its parent: calls answer FABLE_FORKED.
 */
#ifndef FABLE_H
#define FABLE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FABLE_ABI_VERSION 2u

/* ---- status codes. "again" says whether waiting and calling again can succeed. ---- */
#define FABLE_OK 0
#define FABLE_EMPTY -1         /* no message yet                                             again: yes, after readable */
#define FABLE_ENOSPACE -2      /* ring, buffer or table limit reached                        again: yes, after writable or a release */
#define FABLE_ENDED -3         /* the peer half-closed or closed, and everything was read    again: no */
#define FABLE_PEER_DEAD -4     /* the peer's process died, and everything it committed was read  again: no */
#define FABLE_PEER_FAULT -5    /* the peer broke the protocol; block[DETAIL] says how        again: no */
#define FABLE_BAD_HANDLE -6    /* stale, closed or never issued                              again: no */
#define FABLE_BAD_ARGUMENT -7  /* out of range, null or misaligned                           again: no */
#define FABLE_WRONG_THREAD -8  /* the handle belongs to another thread                       again: no */
#define FABLE_FORKED -9        /* the process forked after the library was loaded            again: no */
#define FABLE_TOO_LARGE -10    /* over max_message_bytes or over a buffer's capacity         again: no */
#define FABLE_TIMEOUT -11      /* the deadline passed                                        again: yes */
#define FABLE_CLOSED -12       /* this end is closed or half-closed for that operation       again: no */
#define FABLE_SYSTEM -13       /* a system call failed; fable_errno() says which errno       again: maybe */
#define FABLE_BAD_REGION -14   /* a region has wrong seals, size, owner or identity          again: no */
#define FABLE_UNSUPPORTED -15  /* this kernel or machine cannot do it                        again: no */
#define FABLE_TABLE_FULL -16   /* no handle left                                             again: yes, after a close */
#define FABLE_TRUNCATED -17    /* a frame was larger than the buffer and is lost             again: no */
#define FABLE_HUNG_UP -18      /* the socket's other side is gone                            again: no */
#define FABLE_ABI_MISMATCH -19 /* the peer's layout version differs                          again: no */
#define FABLE_MOVED -20        /* fable_refill: what follows lies in another read arena     again: yes, after taking that arena */

/* ---- protocol faults, in block[FABLE_BLOCK_DETAIL] after FABLE_PEER_FAULT ---- */
#define FABLE_FAULT_KIND 1      /* a record header of unknown kind */
#define FABLE_FAULT_LENGTH 2    /* a record length outside the ring, smaller than its payload, or over the limit */
#define FABLE_FAULT_CURSOR 3    /* a cursor went back, or past what was published */
#define FABLE_FAULT_FRAGMENT 4  /* a fragment outside a message, or a total that does not add up */
#define FABLE_FAULT_DOORBELL 5  /* rang more often than it was asked to */
#define FABLE_FAULT_STATE 6     /* the control region holds an impossible state */

/* ---- transports and words ---- */
#define FABLE_TRANSPORT_MEMPIPE 1u
#define FABLE_TRANSPORT_MEMPIPE_SPIN 2u
#define FABLE_TRANSPORT_MEMPIPE_FUTEX 3u
#define FABLE_TRANSPORT_UNIX 4u
#define FABLE_TRANSPORT_TCP 5u           /* this and those below: only by fable_switch(), a channel never begins with them */
#define FABLE_TRANSPORT_TCP_NODELAY 6u
#define FABLE_TRANSPORT_PIPE 7u
#define FABLE_TRANSPORT_VMSPLICE_COOP 8u /* trusted peers only */
#define FABLE_TRANSPORT_SHMEM_PIPE 9u

/* ---- why a direction moves: fable_switch_event.reason ---- */
#define FABLE_REASON_PROGRAM 1u   /* an end's own program */
#define FABLE_REASON_OPERATOR 2u
#define FABLE_REASON_POLICY 3u
#define FABLE_REASON_PATH_LOST 4u /* the path before broke while both ends live */

#define FABLE_ROLE_INITIATOR 1u
#define FABLE_ROLE_ACCEPTOR 2u

#define FABLE_TRUSTED 1u
#define FABLE_UNTRUSTED 2u

#define FABLE_READABLE 1u
#define FABLE_WRITABLE 2u
#define FABLE_DESCRIPTOR 0x80000000u /* in fable_wait_entry.want: `handle` is a file descriptor, not a channel */

/* ---- record kinds, see docs/reference/shared-layouts.md ---- */
#define FABLE_RECORD_MESSAGE 1u
#define FABLE_RECORD_PAD 2u
#define FABLE_RECORD_FIRST 3u
#define FABLE_RECORD_MORE 4u
#define FABLE_RECORD_LAST 5u
#define FABLE_RECORD_END 6u
#define FABLE_RECORD_MARKER 7u

/* ---- the block: 16 words per handle in one table, written by the library before a call returns ---- */
#define FABLE_MAX_HANDLES 4096u
#define FABLE_BLOCK_WORDS 16u
#define FABLE_BLOCK_READ_OFFSET 0u  /* offset in the read arena of the first record that the last fable_refill() handed out */
#define FABLE_BLOCK_READ_LIMIT 1u   /* offset just past the last validated record of the window */
#define FABLE_BLOCK_FREE 2u         /* bytes the writer may still lay out after its published position */
#define FABLE_BLOCK_PEER_STATE 3u   /* 0 open, 1 write-closed, 2 closed, 3 faulted, 4 dead */
#define FABLE_BLOCK_ERRNO 4u        /* errno of the last FABLE_SYSTEM of this handle */
#define FABLE_BLOCK_DETAIL 5u       /* FABLE_FAULT_* after FABLE_PEER_FAULT; size of the message after TOO_LARGE of fable_receive() */
#define FABLE_BLOCK_WRITE_EPOCH 6u  /* how many transports the outgoing direction has had before this one */
#define FABLE_BLOCK_SLEEPS 7u       /* how often the peer may have rung: once for each announced sleep and for each order */
#define FABLE_BLOCK_WRITE_OFFSET 8u /* after fable_send() and fable_cross(): where in the write arena the next record goes */
#define FABLE_BLOCK_READ_EPOCH 9u   /* the same for the incoming direction */
#define FABLE_BLOCK_CROSSING 10u    /* 1: the next path is ready, fable_cross() takes it; 0: nothing to cross */
#define FABLE_BLOCK_EVENTS 11u      /* how many events fable_event() has to tell */
#define FABLE_BLOCK_WRITE_TRANSPORT 12u
#define FABLE_BLOCK_READ_TRANSPORT 13u
#define FABLE_BLOCK_COMING 14u      /* 1: the peer's marker is on its way, reading on leads to FABLE_MOVED */

#define FABLE_WINDOWS 1u /* fable_channel_options.flags: this end lays out records itself, so only fable_cross() moves it */

/* ---- library ---- */
uint32_t fable_abi_version(void);
int32_t fable_init(void);             /* idempotent: begins to register for membarrier, prepares the tables; called implicitly by the others */
int32_t fable_errno(void);            /* errno behind the last FABLE_SYSTEM answered on this thread's last call without a handle */
void *fable_blocks(void);             /* FABLE_MAX_HANDLES * FABLE_BLOCK_WORDS words; lives as long as the library */
uint64_t fable_now_ns(void);          /* monotonic clock */

/* ---- channels ---- */
typedef struct fable_channel_options {
    uint32_t size_bytes;        /* in: sizeof this struct */
    uint32_t role;              /* in: FABLE_ROLE_* */
    uint32_t transport;         /* in: FABLE_TRANSPORT_*, both directions */
    uint32_t trust;             /* in: how this end treats the peer; FABLE_UNTRUSTED seals the ring so that the peer cannot map it writable */
    uint32_t ring_bytes;        /* in: power of two, 4096 … 67108864; the ring this end writes; arena size for kernel transports */
    uint32_t max_message_bytes; /* in: 1 … 1073741824 */
    uint32_t handle;            /* out */
    int32_t control_fd;         /* out: sealed control region; the caller passes it on and closes it */
    int32_t ring_fd;            /* out: sealed ring region, or -1 */
    int32_t peer_doorbell_fd;   /* out: initiator only, else -1 */
    int32_t peer_data_fd;       /* out: initiator of a kernel transport only, else -1 */
    int32_t peer_link_fd;       /* out: initiator only, else -1; the ends settle reconfigurations over it */
    uint32_t flags;             /* in: FABLE_WINDOWS or 0 */
    uint32_t reserved[3];
} fable_channel_options;

typedef struct fable_peer {
    uint32_t size_bytes;        /* in: sizeof this struct */
    uint32_t handle;            /* in */
    uint32_t trust;             /* in: the effective trust, never laxer than in fable_channel_options; decides whether reads are in place or copied */
    int32_t control_fd;         /* in, consumed in every outcome */
    int32_t ring_fd;            /* in, consumed; -1 for kernel transports */
    int32_t doorbell_fd;        /* in, consumed; the acceptor's; of an initiator -1, or the end of another pair to be used instead of its own */
    int32_t data_fd;            /* in, consumed; acceptor of a kernel transport only, else -1 */
    int32_t pid_fd;             /* in, consumed; -1 if the peer's life is not watched */
    uint32_t peer_max_message_bytes; /* out: what both ends agreed to */
    uint32_t peer_ring_bytes;   /* out */
    int32_t link_fd;            /* in, consumed; acceptor only, else -1 */
    uint32_t reserved[1];
} fable_peer;

int32_t fable_channel_new(fable_channel_options *options);  /* owner from here on: the calling thread */
int32_t fable_channel_attach(fable_peer *peer);             /* owner. verifies seals, size, identity; FABLE_BAD_REGION else */
void *fable_channel_arena(uint32_t handle, uint32_t which, uint32_t *size_bytes); /* which 0 = write arena, 1 = read arena (after attach); NULL on error. Owned by the channel until fable_channel_close() */
int32_t fable_channel_doorbell(uint32_t handle);            /* owner. the doorbell descriptor, owned by the channel: watch it, read it, do not close it */

/* owner. Hands out records that no earlier call handed out: their bytes (> 0; the window is block[READ_OFFSET] … block[READ_LIMIT], it never
 * crosses the end of the arena), or EMPTY ENDED PEER_DEAD PEER_FAULT. Records stay where they are until consumed, also across refills. PADs in
 * a window are to be skipped, and count when consuming; END is never in one. Not to be mixed with fable_receive(). */
int32_t fable_refill(uint32_t handle);
int32_t fable_consume(uint32_t handle, uint32_t bytes, uint32_t messages, uint32_t payload_bytes); /* owner. gives the oldest `bytes` of what was handed out back to the writer */
/* owner. shmem-pipe: gives back records that were handed out, whichever; BAD_ARGUMENT if they were not, UNSUPPORTED for other transports */
int32_t fable_give_back(uint32_t handle, uint32_t offset, uint32_t bytes, uint32_t messages, uint32_t payload_bytes);
int32_t fable_space(uint32_t handle);                       /* owner. bytes free after the published position, or ENDED PEER_DEAD PEER_FAULT */
/* owner. The same, and of a heap (shmem-pipe) another stretch of at least `needed` bytes if there is one; the next record then goes to
 * block[WRITE_OFFSET]. Only while nothing is laid out and unpublished. */
int32_t fable_room(uint32_t handle, uint32_t needed);
int32_t fable_publish(uint32_t handle, uint32_t bytes, uint32_t word0, uint32_t word1, uint32_t messages, uint32_t payload_bytes); /* owner. publishes `bytes` of laid-out records; their first header is word0, word1 */
int32_t fable_pump(uint32_t handle);                        /* owner. kernel transports: bytes still queued in the arena after trying to send, ENDED or PEER_DEAD once nobody will take them; 0 for rings. Again 0: tcp keeps nothing back */
int32_t fable_close_write(uint32_t handle);                 /* owner. half-close: END after everything published */
int32_t fable_channel_peer_died(uint32_t handle);           /* owner. the caller learned (pidfd, broker) that the peer is dead */
int32_t fable_channel_fault(uint32_t handle, uint32_t detail); /* owner. ends the channel with PEER_FAULT, telling the peer */
int32_t fable_channel_close(uint32_t handle);               /* owner. tells the peer, unmaps, closes; the handle is stale afterwards */

/* owner. On which NUMA nodes the pages of the ring or heap lie that this end writes (which 0) or reads (which 1): pages[n] of them on node n, as far
 * as this process has touched them; how many entries are used. EMPTY: the path has no shared memory. UNSUPPORTED: a kernel without NUMA. TOO_LARGE:
 * a node beyond `capacity` (1 … 1024). SYSTEM: a sandbox refuses move_pages(2) */
int32_t fable_channel_nodes(uint32_t handle, uint32_t which, uint32_t *pages, uint32_t capacity);

typedef struct fable_stats {
    uint64_t messages_sent, bytes_sent, messages_delivered, bytes_delivered;
    uint64_t rings, sleeps, blocked_ns, waited_ns;
    uint64_t write_epoch, write_transport, switches, switch_reason; /* of the direction that this end writes: now, and why it last moved */
} fable_stats;
int32_t fable_channel_stats(uint32_t handle, fable_stats *out);
int32_t fable_control_map(int32_t control_fd);                       /* -> id of a read-only mapping, for observers such as the broker; the descriptor stays the caller's */
int32_t fable_control_stats(uint32_t id, fable_stats *out);          /* the same figures from such a mapping */
int32_t fable_control_unmap(uint32_t id);
/* Many such mappings in one call: for each id FABLE_SAMPLE_WORDS words, the figures of fable_stats as pairs (low, high), then the CPU that its
 * owner last waited on, the peer state as in the block, ring_bytes, and 1; all zero for an id that is stale. How many are not. */
int32_t fable_control_sample(const uint32_t *ids, uint32_t count, uint32_t *out);
/* For each id the NUMA node + 1 of the memory that its owner writes into, by its owner's word; 0: not in memory, or nobody knows. */
int32_t fable_control_nodes(const uint32_t *ids, uint32_t count, uint32_t *out);
#define FABLE_SAMPLE_WORDS 28u
#define FABLE_SAMPLE_CPU 24u
#define FABLE_SAMPLE_STATE 25u
#define FABLE_SAMPLE_RING_BYTES 26u
#define FABLE_SAMPLE_VALID 27u

/* ---- reconfiguration: each direction moves by itself, ordered by its writer (docs/reference/reconfiguration.md) ---- */
/* owner. Orders the outgoing direction to go on through `transport`, with `ring_bytes` of memory (0: as much as now). OK: under way, or
 * behind the one under way, of which only the newest waits. EMPTY: it is there already; said with ring_bytes, only if its memory is not on
 * another NUMA node than the CPU on which its reader last waited: new memory is made on the node of its reader. UNSUPPORTED: not on this
 * machine, or not to an untrusted peer. Messages before and after are delivered once, in order, whatever happens; a refusal leaves
 * everything as it is. */
int32_t fable_switch(uint32_t handle, uint32_t transport, uint32_t ring_bytes, uint32_t reason);
int32_t fable_ask(uint32_t handle, uint32_t transport, uint32_t ring_bytes, uint32_t reason); /* owner. asks the peer to do the same with the direction it writes; fable_event() tells if it does */
int32_t fable_attend(uint32_t handle);                      /* owner. takes what the peer said about reconfigurations (after a ring; reading, waiting and fable_space() do so too). OK, and what it led to is in the block */
/* owner. The marker goes behind everything published, what comes next goes through the next path: OK (the write arena is another one,
 * empty but for block[WRITE_OFFSET] bytes), EMPTY when there is nothing to cross. Nothing may be laid out and unpublished; a message that fable_send() has
 * sent in part goes on there. The old write arena stays mapped until fable_retire(). */
int32_t fable_cross(uint32_t handle);
/* owner. Nothing of the old arena of that epoch (which 0 = write, 1 = read) is looked at any more. For read arenas: messages and bytes given back that
 * fable_consume() was not told, because they were lent when the direction moved. */
int32_t fable_retire(uint32_t handle, uint32_t which, uint32_t epoch, uint32_t messages, uint32_t payload_bytes);
typedef struct fable_switch_event {
    uint32_t direction;   /* 1 outgoing, 2 incoming */
    uint32_t what;        /* FABLE_SWITCH_* */
    uint32_t from, to;    /* FABLE_TRANSPORT_* */
    uint32_t epoch;       /* of the direction, after it */
    uint32_t reason;      /* FABLE_REASON_* */
    uint32_t status;      /* of a refusal: minus the FABLE_* code; 0: a newer order took its place */
    uint32_t old_bytes;   /* bytes still in the old path then */
    uint64_t at_ns;       /* fable_now_ns() */
} fable_switch_event;
#define FABLE_MIN_STREAM_BYTES 262144u /* fable_switch() to a path through the kernel takes at least this much memory for what is on its way */
#define FABLE_SWITCH_PENDING 1u  /* offered to the peer; outgoing only */
#define FABLE_SWITCH_READY 2u    /* accepted: fable_cross() may be called; outgoing only */
#define FABLE_SWITCH_MOVED 3u    /* the marker is behind us: messages take the new path */
#define FABLE_SWITCH_DRAINED 4u  /* the peer has everything of the old path; outgoing only */
#define FABLE_SWITCH_REFUSED 5u  /* it stays as it is */
int32_t fable_event(uint32_t handle, fable_switch_event *out); /* owner. the oldest event not yet told: OK, or EMPTY. Only the last 16 are kept */

/* copying forms for programs without a fast path of their own; fragments are handled inside */
/* owner. OK ENOSPACE TOO_LARGE … never blocks. After ENOSPACE offer the same message again: a large one may be under way in part */
int32_t fable_send(uint32_t handle, const uint8_t *message, uint32_t size_bytes);
int32_t fable_receive(uint32_t handle, uint8_t *out, uint32_t capacity_bytes);      /* owner. size, EMPTY, TOO_LARGE (message stays, block[DETAIL] is its size) … */
int32_t fable_take(uint32_t handle, uint8_t *out, uint32_t capacity_bytes);         /* owner. the next message if it is short (256 bytes at most), whole and nothing is handed out: size, or EMPTY; TOO_LARGE: fable_refill() knows more. For programs that read windows */

/* ---- waiting ---- */
typedef struct fable_wait_entry {
    uint32_t handle; /* channel, or descriptor if want has FABLE_DESCRIPTOR */
    uint32_t want;   /* FABLE_READABLE | FABLE_WRITABLE [| FABLE_DESCRIPTOR] */
    uint32_t ready;  /* out: what is ready; errors, end and death count as ready */
    uint32_t reserved;
} fable_wait_entry;

/* Readable: fable_refill() would hand out something new, or report an end. Writable: more room than when fable_space(), fable_publish() or
 * fable_send() last ran short of it (half the ring at most). A handle that is no channel of this thread is ready for everything.
 * owner. Looks, spins up to spin_ns (0: looks once; nothing is spun for peers last seen on this CPU); returns how many are ready.
 * With announce != 0 and none ready: announces the sleep on every channel, fences, looks again; 0 then means: sleep on the doorbells. */
int32_t fable_poll(fable_wait_entry *entries, uint32_t count, uint32_t spin_ns, uint32_t announce);
/* owner. takes the announcement back after waking (fable_poll does so too) */
int32_t fable_awake(uint32_t handle);
/* owner. Blocks: spins (channels on mempipe-spin alone: for a tenth of a second), announces, sleeps in ppoll or on the futex; how many are ready,
 * or TIMEOUT. timeout_ms < 0: for ever. 0: wake_fd (-1: none) became readable; it is not read.
 * Or a channel with FABLE_WINDOWS has something to tell or to do about a move since the last time: look at its block (EVENTS, CROSSING, COMING). */
int32_t fable_wait(fable_wait_entry *entries, uint32_t count, int32_t timeout_ms, uint32_t spin_ns, int32_t wake_fd);

/* ---- descriptors and processes (Linux calls the runtimes lack) ---- */
int32_t fable_socketpair(uint32_t kind, int32_t out[2]);              /* kind 1 stream, 5 seqpacket; non-blocking */
int32_t fable_listen(const uint8_t *path, uint32_t path_bytes, uint32_t mode, uint32_t backlog); /* seqpacket, its file with exactly `mode`; -> fd. TOO_LARGE: over 107 bytes. EADDRINUSE stays FABLE_SYSTEM */
int32_t fable_accept(int32_t fd);                                     /* -> fd, EMPTY */
int32_t fable_dial(const uint8_t *path, uint32_t path_bytes);         /* seqpacket connect -> fd, ENOSPACE (the listener's backlog is full), TOO_LARGE */
int32_t fable_frame_send(int32_t fd, const uint8_t *bytes, uint32_t size_bytes, const int32_t *fds, uint32_t fd_count); /* 1 … 65536 bytes, at most 16 fds. OK, ENOSPACE (again when writable), HUNG_UP, TOO_LARGE; fds stay the caller's */
int32_t fable_frame_receive(int32_t fd, uint8_t *out, uint32_t capacity_bytes, int32_t *fds, uint32_t fd_capacity, uint32_t *fd_count); /* size, EMPTY, HUNG_UP, TRUNCATED (descriptors closed); fds become the caller's */
typedef struct fable_credentials { uint32_t pid, uid, gid; int32_t pid_fd; uint64_t start_time; } fable_credentials;
int32_t fable_peer_credentials(int32_t fd, fable_credentials *out);   /* SO_PEERCRED, SO_PEERPIDFD (else pidfd_open, checked); start_time from /proc, 0 where it does not show; pid_fd becomes the caller's. HUNG_UP when the peer's process is gone */
typedef struct fable_region_facts { uint64_t device, inode, size_bytes; uint32_t seals, is_memory; } fable_region_facts;
int32_t fable_region_check(int32_t fd, fable_region_facts *out);
int32_t fable_socket_check(int32_t fd);                               /* 1: a Unix stream socket, as doorbells and data paths are; 5: a Unix packet socket, as links are; 0: anything else */
int32_t fable_pid_open(uint32_t pid);                                 /* -> pidfd */
int32_t fable_pid_dead(int32_t pid_fd);                               /* 1 dead, 0 alive */
int32_t fable_close(int32_t fd);
int32_t fable_dup(int32_t fd);
int32_t fable_write(int32_t fd, const uint8_t *bytes, uint32_t size_bytes);      /* one write(2), never SIGPIPE: count, EMPTY when it would block, HUNG_UP */
int32_t fable_read(int32_t fd, uint8_t *out, uint32_t capacity_bytes);           /* one read(2): count, 0 at the end, EMPTY */
int32_t fable_lock(const uint8_t *path, uint32_t path_bytes);         /* O_CREAT|O_NOFOLLOW 0600 + flock(LOCK_EX|LOCK_NB): fd, or EMPTY when held by another */
int32_t fable_unlink_socket(const uint8_t *path, uint32_t path_bytes);/* only if it is a socket of this uid */
int32_t fable_folder(const uint8_t *path, uint32_t path_bytes);       /* absolute; mkdir -p with mode 0700; checks the last's owner, mode (nobody else may write), no symlink: OK, BAD_ARGUMENT, SYSTEM */
int32_t fable_file_read(const uint8_t *path, uint32_t path_bytes, uint8_t *out, uint32_t capacity_bytes); /* whole small file: size, TOO_LARGE */
int32_t fable_file_create(const uint8_t *path, uint32_t path_bytes, const uint8_t *bytes, uint32_t size_bytes, uint32_t mode); /* appears whole, with exactly `mode`, or not at all; EEXIST stays FABLE_SYSTEM */
int32_t fable_file_replace(const uint8_t *path, uint32_t path_bytes, const uint8_t *bytes, uint32_t size_bytes, uint32_t mode); /* the same instead of what was there; no bytes: then nothing is */
int32_t fable_getenv(const uint8_t *name, uint32_t name_bytes, uint8_t *out, uint32_t capacity_bytes);    /* of the environment the process started with: size, EMPTY when unset, TOO_LARGE */
int32_t fable_self(fable_credentials *out);                           /* pid, effective uid and gid, start time; pid_fd = -1 */
int32_t fable_executable(uint8_t *out, uint32_t capacity_bytes);      /* path of the running program */
/* starts a detached program (setsid, double fork, stdio to /dev/null or, appended, log_path): its pid, or SYSTEM with exec's errno. argv and
 * extra_env (NAME=value, before the inherited ones) as NUL-terminated strings one after another; argv[0] is an absolute path. No descriptor,
 * signal mask or pinning of the caller is inherited. Blocks until the program runs. */
int32_t fable_spawn(const uint8_t *argv, uint32_t argv_bytes, const uint8_t *extra_env, uint32_t extra_env_bytes, const uint8_t *log_path, uint32_t log_path_bytes);
int32_t fable_random(uint8_t *out, uint32_t size_bytes);

/* ---- the outside world: sockets to programs that are no FABLE. Addresses are a sockaddr_in, sockaddr_in6 or sockaddr_un (two bytes alone:
 * the kernel gives an abstract name). kind 1: bytes (TCP, Unix), kind 2: datagrams (UDP, Unix). All non-blocking, never a signal. An errno
 * that is no status of its own is SYSTEM and fable_errno(), such as ECONNREFUSED, ECONNRESET, EPIPE and ENETUNREACH ---- */
int32_t fable_net_connect(uint32_t kind, const uint8_t *address, uint32_t address_bytes, const uint8_t *local, uint32_t local_bytes); /* -> fd, writable once it is decided; ENOSPACE: a Unix listener's backlog is full. local_bytes 0: any own address */
int32_t fable_net_connected(int32_t fd);                              /* OK, EMPTY while under way, SYSTEM: why not */
int32_t fable_net_listen(uint32_t kind, const uint8_t *address, uint32_t address_bytes, uint32_t backlog, uint32_t mode); /* -> fd, for fable_accept(); kind 2 is only bound. A Unix socket's file gets exactly `mode` */
int32_t fable_net_name(int32_t fd, uint32_t peer, uint8_t *out, uint32_t capacity_bytes); /* its own address, or with peer = 1 the other side's: size, TOO_LARGE */
int32_t fable_net_send(int32_t fd, const uint8_t *bytes, uint32_t size_bytes); /* count, for datagrams all; ENOSPACE (again when writable), TOO_LARGE: no datagram can be as long */
int32_t fable_net_receive(int32_t fd, uint32_t kind, uint8_t *out, uint32_t capacity_bytes, uint32_t *size); /* count, EMPTY; 0: the end of a stream, an empty datagram. TOO_LARGE: the datagram stays, *size is its size */
int32_t fable_net_finish(int32_t fd);                                 /* half-close: the end after everything sent */
int32_t fable_net_unsent(int32_t fd);                                 /* bytes sent that the other side's kernel (TCP) or program (Unix) has not taken */
int32_t fable_net_abort(int32_t fd);                                  /* closes; over TCP with a reset, so that nothing cut short looks whole */
int32_t fable_net_option(int32_t fd, uint32_t which, uint32_t on);    /* which: FABLE_NET_* */
#define FABLE_NET_STREAM 1u
#define FABLE_NET_DATAGRAM 2u
#define FABLE_NET_NODELAY 1u
#define FABLE_NET_KEEPALIVE 2u

/* ---- the reactor: one native epoll thread per process; it never calls back. Readiness of watched descriptors is queued per loop ---- */
int32_t fable_loop_new(int32_t *doorbell_fd);                         /* -> loop id, UNSUPPORTED without threads; doorbell_fd: stream socket that gets a byte when tokens are queued (owned by the loop) */
int32_t fable_loop_watch(uint32_t loop, int32_t fd, uint32_t token, uint32_t events); /* one shot: READABLE | WRITABLE; replaces an earlier watch of fd by this loop; the descriptor stays the caller's */
int32_t fable_loop_again(uint32_t loop, int32_t fd, uint32_t token, uint32_t events);  /* re-arms what was watched, BAD_ARGUMENT else */
int32_t fable_loop_forget(uint32_t loop, int32_t fd);                 /* before closing fd: 1, or 0 if it was not watched; none of its tokens comes out any more */
int32_t fable_loop_take(uint32_t loop, uint32_t *out, uint32_t capacity); /* pairs (token, events: READABLE|WRITABLE|4 hang-up), `capacity` of them: how many; if more are left the doorbell rings again */
int32_t fable_loop_close(uint32_t loop);

/* ---- machine ---- */
int32_t fable_cpu(void);                                              /* CPU this thread runs on */
int32_t fable_pin(int32_t cpu);                                       /* this thread; -1: every CPU it was allowed at load */
int32_t fable_affinity(uint32_t *mask_words, uint32_t capacity_words); /* a bit per CPU this thread may use: how many words are used, TOO_LARGE */
int32_t fable_thread_affinity(uint32_t tid, uint32_t *mask_words, uint32_t capacity_words); /* the same for any thread; SYSTEM: ESRCH */
int32_t fable_thread_confine(uint32_t tid, const uint32_t *mask_words, uint32_t words); /* sets it; SYSTEM: EPERM, ESRCH, EINVAL (none of these CPUs is there) */
int32_t fable_capability(uint32_t which);                             /* 1 works, 0 not here. which: see FABLE_CAPABILITY_* */
#define FABLE_CAPABILITY_MEMBARRIER 1u
#define FABLE_CAPABILITY_SEALS 2u
#define FABLE_CAPABILITY_FUTURE_WRITE_SEAL 3u
#define FABLE_CAPABILITY_PIDFD 4u
#define FABLE_CAPABILITY_PEER_PIDFD 5u
#define FABLE_CAPABILITY_FUTEX_WAITV 6u
#define FABLE_CAPABILITY_NOEXEC_SEAL 7u
#define FABLE_CAPABILITY_POPULATE 8u
int32_t fable_line_ns(uint32_t cpu_a, uint32_t cpu_b, uint32_t rounds, uint32_t *p50_ps); /* one cache line bounced between two threads: one-way p50 in picoseconds. TIMEOUT after 10 s without a result */

#ifdef __cplusplus
}
#endif
#endif
