//! One end of a channel: its regions, its transport, its peer's life. All system calls come in as `Sys`.
//!
//! Life: `open` (own regions, sealed) → `attach` (the peer's regions, verified) → reading and writing → `close`.
//! Order at the end of a peer: whatever says that it is gone is looked at first, then the records are scanned once more, and only when
//! nothing new is found the end is reported. So everything committed before is delivered.

const control = @import("../layout/control.zig");
const fault = @import("fault.zig");
const bells = @import("bell.zig");
const pace = @import("pace.zig");
const transports = @import("transports.zig");
const streams = @import("stream.zig");
const streams_in = @import("stream_in.zig");
const HeapOf = @import("heap.zig").HeapOut;
const HeapInOf = @import("heap_in.zig").HeapIn;
const epochs = @import("epochs.zig");
const Writer = @import("record_writer.zig").Writer;
const Joiner = @import("joiner.zig").Joiner;

pub const Kind = enum(u32) {
    mempipe = 1,
    mempipe_spin = 2,
    mempipe_futex = 3,
    unix = 4,
    tcp = 5,
    tcp_nodelay = 6,
    pipe = 7,
    vmsplice_coop = 8,
    shmem_pipe = 9,

    pub fn sharedMemory(k: Kind) bool {
        return @intFromEnum(k) <= @intFromEnum(Kind.mempipe_futex);
    }
    /// Records lie in memory that both ends map.
    pub fn memory(k: Kind) bool {
        return k.sharedMemory() or k == .shmem_pipe;
    }
    /// A channel can begin with it.
    pub fn first(k: Kind) bool {
        return @intFromEnum(k) <= @intFromEnum(Kind.unix);
    }
};
pub const Role = enum(u32) { initiator = 1, acceptor = 2 };
pub const Trust = enum(u32) { trusted = 1, untrusted = 2 };

/// What an operation answers when it has no count: the statuses of include/fable.h that a channel can produce.
pub const Outcome = enum(i32) {
    ok = 0,
    empty = -1,
    no_space = -2,
    ended = -3,
    peer_dead = -4,
    peer_fault = -5,
    bad_argument = -7,
    too_large = -10,
    closed = -12,
    system = -13,
    bad_region = -14,
    unsupported = -15,
    abi_mismatch = -19,
    moved = -20,
};

pub const block_words = 16;
pub const Block = struct {
    pub const read_offset = 0;
    pub const read_limit = 1;
    pub const free = 2;
    pub const peer_state = 3;
    pub const errno = 4;
    pub const detail = 5;
    pub const write_epoch = 6;
    pub const sleeps = 7;
    pub const write_offset = 8;
    pub const read_epoch = 9;
    pub const crossing = 10;
    pub const events = 11;
    pub const write_transport = 12;
    pub const read_transport = 13;
    pub const coming = 14;
};
/// block[peer_state] beside control.State.
pub const peer_state_dead: u32 = 4;

pub const Options = struct {
    role: Role,
    kind: Kind,
    trust: Trust,
    ring_bytes: u32,
    max_message: u32,
    /// This process could not register for membarrier.
    no_membarrier: bool,
    /// The program lays out records itself: only cross() moves it.
    windows: bool = false,
};

/// Descriptors for the peer; the caller passes them on and closes them.
pub const Offer = struct { control: i32 = -1, ring: i32 = -1, doorbell: i32 = -1, data: i32 = -1, link: i32 = -1 };

/// Descriptors from the peer. `attach` sets to -1 what it keeps; the caller closes the rest.
pub const Peer = struct { trust: Trust, control: i32, ring: i32, doorbell: i32, data: i32, link: i32, pid: i32 };

pub fn Channel(comptime Sys: type) type {
    return struct {
        const Self = @This();
        pub const StreamOut = streams.StreamOut(Sys);
        pub const StreamIn = streams_in.StreamIn(Sys);
        pub const HeapOut = HeapOf(Sys);
        pub const HeapIn = HeapInOf(Sys);

        comptime {
            transports.check(&.{ transports.RingOut, StreamOut, HeapOut });
            transports.check(&.{ transports.RingIn, StreamIn, HeapIn });
        }

        /// One path of the outgoing direction.
        pub const Out = struct {
            transport: union(enum) { ring: transports.RingOut, stream: StreamOut, heap: HeapOut },
            kind: Kind,
            arena: Mapping = .{},
            epoch: u32 = 0,
            /// `transport` is there.
            live: bool = false,
            /// It broke, and what it did not deliver went over the link.
            rest_sent: bool = false,
            /// NUMA node + 1 that its memory lies on; 0: nobody knows.
            node: u32 = 0,
        };
        /// One path of the incoming direction: what the program reads from, and the peer's ring if that is something else.
        pub const In = struct {
            transport: union(enum) { ring: transports.RingIn, stream: StreamIn, heap: HeapIn },
            kind: Kind,
            arena: Mapping = .{},
            ring: Mapping = .{},
            epoch: u32 = 0,
            live: bool = false,

            pub fn readable(in: *const In) Mapping {
                return if (in.arena.address != null) in.arena else in.ring;
            }
        };

        /// The path in use is one of the two, the next or the one before is the other.
        outs: [2]Out,
        ins: [2]In,
        out: *Out,
        in: *In,
        epochs: epochs.State(Self) = .{},
        bell: bells.Bell,
        options: Options,
        /// Effective trust, known from attach on.
        copies: bool = true,
        /// The peer's rings must be sealed against its own new mappings, because it is not trusted.
        strict: bool = false,
        block: *[block_words]u32,
        attached: bool = false,
        write_closed: bool = false,
        dead: bool = false,
        /// FAULT_* once this end found the peer at fault.
        faulted: u32 = fault.none,
        /// What the peer's `news` is while nothing happens: open, and no order that was not seen.
        calm: u64 = 0,
        doorbell: i32 = -1,
        link: i32 = -1,
        pid_fd: i32 = -1,
        own_control: Mapping = .{},
        peer_control: Mapping = .{},
        joiner: Joiner(Sys) = .{},
        /// Spins that found nothing in a row, and how many waits go by before the next.
        spin_misses: u5 = 0,
        spin_pause: u32 = 0,
        /// How often a spinning reader looks.
        pacer: pace.Pacer = .{},
        /// Something came or went since the last wait.
        traffic: bool = true,
        /// Announced sleeps on the doorbell, and bytes that came on it.
        doorbell_sleeps: u32 = 0,
        doorbell_bytes: u32 = 0,
        /// Looks for bytes that were sent and did not come.
        missing: u32 = 0,

        pub const Mapping = struct {
            address: ?[*]align(4096) u8 = null,
            size: u32 = 0,

            pub fn set(m: *Mapping, address: isize, size: u32) bool {
                if (address < 0) return false;
                m.* = .{ .address = @ptrFromInt(@as(usize, @bitCast(address))), .size = size };
                return true;
            }
            pub fn drop(m: *Mapping) void {
                Sys.unmap(m.address, m.size);
                m.* = .{};
            }
        };

        // ---- the parts ----

        pub inline fn writer(c: *Self) *Writer {
            return switch (c.out.transport) {
                inline else => |*t| &t.writer,
            };
        }

        /// What the application reads from; null before attach.
        pub fn readArena(c: *Self) ?Mapping {
            return if (c.attached) c.in.readable() else null;
        }

        const life = @import("channel_life.zig").Life(Sys, Self);
        pub const open = life.open;
        pub const attach = life.attach;
        pub const close = life.close;

        const reading = @import("channel_reading.zig").Reading(Self);
        pub const refill = reading.refill;
        pub const readable = reading.readable;
        pub const consume = reading.consume;
        pub const giveBack = reading.giveBack;
        pub const receive = reading.receive;
        pub const take = reading.take;
        pub const peerGone = reading.peerGone;
        pub const accused = reading.accused;

        const writing = @import("channel_writing.zig").Writing(Self);
        pub const space = writing.space;
        pub const room = writing.room;
        pub const publish = writing.publish;
        pub const send = writing.send;
        pub const writable = writing.writable;
        pub const pump = writing.pump;
        pub const hurry = writing.hurry;
        pub const closeWrite = writing.closeWrite;

        const sleeping = @import("channel_sleeping.zig").Sleeping(Sys, Self);
        pub const idle = sleeping.idle;
        pub const pending = sleeping.pending;
        pub const stirred = sleeping.stirred;
        pub const announce = sleeping.announce;
        pub const countRings = sleeping.countRings;
        pub const settle = sleeping.settle;
        pub const Watched = sleeping.Watched;
        pub const watched = sleeping.watched;
        pub const answerDoorbell = sleeping.answerDoorbell;

        /// What both processes have mapped of the direction that this end writes, or reads. Null: a path through the kernel.
        pub fn sharedMemory(c: *const Self, written: bool) ?*const Mapping {
            if (!(if (written) c.out.kind else c.in.kind).memory()) return null;
            const mapping = if (written) &c.out.arena else &c.in.ring;
            return if (mapping.address == null) null else mapping;
        }

        const moving = epochs.Epochs(Sys, Self);
        pub const switchTo = moving.switchTo;
        pub const ask = moving.ask;
        pub const attend = moving.attend;
        pub const cross = moving.cross;
        pub const crossIn = moving.crossIn;
        pub const retire = moving.retire;
        pub const takeEvent = moving.takeEvent;
        pub const repair = moving.repair;
        pub const makeMore = moving.makeMore;
        pub const owesRepair = moving.owesRepair;
        pub const reportLoss = moving.reportLoss;
        pub const lastFrames = moving.lastFrames;
        pub const dropPaths = moving.dropPaths;
        pub const isBroken = moving.isBroken;

        // ---- the end of a peer ----

        /// Someone (pidfd, broker) learned that the peer's process is gone.
        pub fn peerDied(c: *Self) void {
            c.dead = true;
        }

        /// The doorbell's or the link's other side was closed: by close(), or with the process.
        pub fn doorbellHungUp(c: *Self) void {
            const seen: control.State = @enumFromInt(@atomicLoad(u32, &c.bell.peer.state, .acquire));
            if (seen == .open or seen == .write_closed) c.dead = true;
        }

        /// Ends the channel, with a reason that the peer can read.
        pub fn fail(c: *Self, what: u32) void {
            if (c.faulted != fault.none) return;
            c.faulted = what;
            c.block[Block.detail] = what;
            c.bell.own.state_code = what;
            @atomicStore(u32, &c.bell.own.state, @intFromEnum(control.State.faulted), .release);
            c.bell.notifyAll();
        }

        // ---- helpers ----

        pub fn system(c: *Self, rc: isize) Outcome {
            if (rc < -1 or c.block[Block.errno] == 0) c.block[Block.errno] = @truncate(@as(usize, @bitCast(-%rc)));
            return .system;
        }

        pub fn systemErrno(c: *Self, errno: u32) i32 {
            c.block[Block.errno] = errno;
            return @intFromEnum(Outcome.system);
        }
    };
}
