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
const Writer = @import("record_writer.zig").Writer;
const Joiner = @import("joiner.zig").Joiner;

pub const Kind = enum(u32) {
    mempipe = 1,
    mempipe_spin = 2,
    mempipe_futex = 3,
    unix = 4,

    pub fn sharedMemory(k: Kind) bool {
        return k != .unix;
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
};

pub const block_words = 16;
pub const Block = struct {
    pub const read_offset = 0;
    pub const read_limit = 1;
    pub const free = 2;
    pub const peer_state = 3;
    pub const errno = 4;
    pub const detail = 5;
    pub const epoch = 6;
    pub const sleeps = 7;
    pub const write_offset = 8;
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
};

/// Descriptors for the peer; the caller passes them on and closes them.
pub const Offer = struct { control: i32 = -1, ring: i32 = -1, doorbell: i32 = -1, data: i32 = -1 };

/// Descriptors from the peer. `attach` sets to -1 what it keeps; the caller closes the rest.
pub const Peer = struct { trust: Trust, control: i32, ring: i32, doorbell: i32, data: i32, pid: i32 };

pub fn Channel(comptime Sys: type) type {
    return struct {
        const Self = @This();
        pub const Ring = transports.Ring;
        pub const Stream = transports.Stream(Sys);
        pub const Transport = union(enum) { ring: Ring, stream: Stream };

        comptime {
            transports.check(&.{ Ring, Stream });
        }

        transport: Transport,
        bell: bells.Bell,
        options: Options,
        block: *[block_words]u32,
        attached: bool = false,
        write_closed: bool = false,
        dead: bool = false,
        /// FAULT_* once this end found the peer at fault.
        faulted: u32 = fault.none,
        doorbell: i32 = -1,
        pid_fd: i32 = -1,
        write_arena: Mapping = .{},
        read_arena: Mapping = .{},
        peer_ring: Mapping = .{},
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
            return switch (c.transport) {
                inline else => |*t| &t.writer,
            };
        }

        /// What the application reads from; null before attach.
        pub fn readArena(c: *Self) ?Mapping {
            if (!c.attached) return null;
            return if (c.read_arena.address != null) c.read_arena else c.peer_ring;
        }

        const life = @import("channel_life.zig").Life(Sys, Self);
        pub const open = life.open;
        pub const attach = life.attach;
        pub const close = life.close;

        const reading = @import("channel_reading.zig").Reading(Self);
        pub const refill = reading.refill;
        pub const readable = reading.readable;
        pub const consume = reading.consume;
        pub const receive = reading.receive;
        pub const take = reading.take;
        pub const peerGone = reading.peerGone;
        pub const accused = reading.accused;

        const writing = @import("channel_writing.zig").Writing(Self);
        pub const space = writing.space;
        pub const publish = writing.publish;
        pub const send = writing.send;
        pub const writable = writing.writable;
        pub const pump = writing.pump;
        pub const closeWrite = writing.closeWrite;

        // ---- the end of a peer ----

        /// Someone (pidfd, broker) learned that the peer's process is gone.
        pub fn peerDied(c: *Self) void {
            c.dead = true;
        }

        /// The doorbell's other side was closed: by close(), or with the process.
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

        // ---- sleeping ----

        /// The writer learns all that was consumed.
        pub fn idle(c: *Self) void {
            if (!c.attached) return;
            switch (c.transport) {
                inline else => |*t| t.idle(),
            }
        }

        /// Says what this end is about to sleep for. A native sleeper watches a stream's socket itself and needs no ring for it.
        pub fn announce(c: *Self, want: u32, native: bool, futex: bool) void {
            if (!c.attached) return;
            c.idle();
            var bits: u32 = 0;
            switch (c.transport) {
                .ring => bits = want & control.sleep_interest,
                .stream => |*t| if (!native) {
                    bits = want & control.sleep_interest;
                    if (t.pending()) bits |= control.sleep_space;
                },
            }
            if (bits == 0) return;
            if (native and futex) bits |= control.sleep_futex else {
                c.doorbell_sleeps +%= 1;
                c.block[Block.sleeps] = c.doorbell_sleeps;
            }
            _ = c.bell.announce(bits);
        }

        pub const SocketEvents = struct { fd: i32, events: i16 };

        /// What a native sleeper watches on the data socket.
        pub fn socketEvents(c: *Self, want: u32, in: i16, out: i16) SocketEvents {
            switch (c.transport) {
                .ring => return .{ .fd = -1, .events = 0 },
                .stream => |*t| {
                    if (t.socket < 0 or !c.attached) return .{ .fd = -1, .events = 0 };
                    return .{
                        .fd = t.socket,
                        .events = (if (want & control.sleep_data != 0) in else 0) | (if (t.pending()) out else 0),
                    };
                },
            }
        }

        /// Reads the doorbell dry. Who rings more often than this end slept loses the channel.
        pub fn answerDoorbell(c: *Self) void {
            var bytes: [64]u8 = undefined;
            while (true) {
                const count = Sys.receive(c.doorbell, &bytes, bytes.len);
                if (count == Sys.again) return;
                if (count <= 0) return c.doorbellHungUp();
                c.doorbell_bytes +%= @intCast(count);
                if (c.doorbell_bytes > c.doorbell_sleeps) return c.fail(fault.doorbell);
            }
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
