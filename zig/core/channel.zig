//! One end of a channel: its regions, its transport, its peer's life. All system calls come in as `Sys`.
//!
//! Life: `open` (own regions, sealed) → `attach` (the peer's regions, verified) → reading and writing → `close`.
//! Order at the end of a peer: whatever says that it is gone is looked at first, then the records are scanned once more, and only when
//! nothing new is found the end is reported. So everything committed before is delivered.

const std = @import("std");
const record = @import("../layout/record.zig");
const control = @import("../layout/control.zig");
const fault = @import("fault.zig");
const bells = @import("bell.zig");
const transports = @import("transports.zig");
const Writer = @import("record_writer.zig").Writer;
const Reader = @import("record_reader.zig").Reader;
const StreamReader = @import("stream.zig").StreamReader;
const Joiner = @import("joiner.zig").Joiner;
const Control = control.Control;

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
        /// Something came or went since the last wait.
        traffic: bool = true,
        /// Announced sleeps on the doorbell, and bytes that came on it.
        doorbell_sleeps: u32 = 0,
        doorbell_bytes: u32 = 0,

        pub const Mapping = struct {
            address: ?[*]align(4096) u8 = null,
            size: u32 = 0,

            fn set(m: *Mapping, address: isize, size: u32) bool {
                if (address < 0) return false;
                m.* = .{ .address = @ptrFromInt(@as(usize, @bitCast(address))), .size = size };
                return true;
            }
            fn drop(m: *Mapping) void {
                Sys.unmap(m.address, m.size);
                m.* = .{};
            }
        };

        // ---- life ----

        /// Makes this end's regions and sockets. On failure everything is undone.
        pub fn open(c: *Self, options: Options, block: *[block_words]u32, offer: *Offer) Outcome {
            block.* = @splat(0);
            c.* = .{
                .transport = undefined,
                .bell = undefined,
                .options = options,
                .block = block,
            };
            offer.* = .{};
            const outcome = c.openRegions(offer);
            if (outcome == .ok) return .ok;
            inline for (.{ offer.control, offer.ring, offer.doorbell, offer.data }) |fd| Sys.close(fd);
            Sys.close(c.doorbell);
            c.unmapAll();
            return outcome;
        }

        fn openRegions(c: *Self, offer: *Offer) Outcome {
            var outcome = c.makeRegion("fable-control", control.bytes, &c.own_control, &offer.control);
            if (outcome != .ok) return outcome;
            const own: *Control = @ptrCast(c.own_control.address.?);
            own.* = @bitCast(@as([control.bytes]u8, @splat(0)));
            own.magic = control.magic;
            own.layout_version = control.layout_version;
            own.control_bytes = control.bytes;
            own.flags = if (c.options.no_membarrier) control.flag_no_membarrier else 0;
            own.ring_bytes = c.options.ring_bytes;
            own.transport = @intFromEnum(c.options.kind);
            own.max_message_bytes = c.options.max_message;
            own.trust = @intFromEnum(c.options.trust);
            own.pid = Sys.processId();
            own.cpu = Sys.cpu();
            if (!c.sealed(offer.control, Sys.seals_read_only)) return c.system(-1);

            c.bell = .{ .own = own, .peer = &bells.nobody, .fence = c.options.no_membarrier, .doorbell = -1, .calls = &calls };
            const size = c.options.ring_bytes;
            if (c.options.kind.sharedMemory()) {
                outcome = c.makeRegion("fable-ring", size, &c.write_arena, &offer.ring);
                if (outcome != .ok) return outcome;
                if (!c.sealed(offer.ring, if (c.options.trust == .trusted) Sys.seals_fixed_size else Sys.seals_read_only)) return c.system(-1);
                c.transport = .{ .ring = .{
                    .writer = .init(c.write_arena.address.?, size, c.options.max_message, &bells.nobody.released, &c.bell),
                    .reader = undefined,
                } };
            } else {
                const address = Sys.mapPrivate(size);
                if (!c.write_arena.set(address, size)) return c.system(address);
                c.transport = .{ .stream = .{
                    .writer = .init(c.write_arena.address.?, size, c.options.max_message, undefined, &c.bell),
                    .reader = undefined,
                } };
                c.transport.stream.writer.released_at = &c.transport.stream.sent;
            }
            c.block[Block.free] = c.writer().free();
            return if (c.options.role == .initiator) c.makeSockets(offer) else .ok;
        }

        fn makeRegion(c: *Self, name: [*:0]const u8, size: u32, into: *Mapping, fd: *i32) Outcome {
            const made = Sys.create(name, size);
            if (made < 0) return c.system(made);
            fd.* = @intCast(made);
            const address = Sys.mapShared(fd.*, size, true);
            if (!into.set(address, size)) return c.system(address);
            const populated = Sys.populate(into.address.?, size);
            return if (populated < 0) c.system(populated) else .ok;
        }

        fn sealed(c: *Self, fd: i32, seals: u32) bool {
            const rc = Sys.seal(fd, seals);
            if (rc < 0) _ = c.system(rc);
            return rc >= 0;
        }

        fn makeSockets(c: *Self, offer: *Offer) Outcome {
            var ends: [2]i32 = undefined;
            var rc = Sys.pair(&ends);
            if (rc < 0) return c.system(rc);
            c.doorbell = ends[0];
            offer.doorbell = ends[1];
            c.bell.doorbell = c.doorbell;
            if (c.options.kind.sharedMemory()) return .ok;
            rc = Sys.pair(&ends);
            if (rc < 0) return c.system(rc);
            c.transport.stream.socket = ends[0];
            offer.data = ends[1];
            return .ok;
        }

        const calls: bells.Calls = .{ .wake = Sys.wake, .ring = Sys.ring };

        /// Maps and verifies what the peer made. Refusing leaves this end unattached: another peer may be tried.
        pub fn attach(c: *Self, peer: *Peer) Outcome {
            if (c.attached) return .bad_argument;
            const acceptor = c.options.role == .acceptor;
            const shared = c.options.kind.sharedMemory();
            if (acceptor != (peer.doorbell >= 0) or (acceptor and !shared) != (peer.data >= 0) or shared != (peer.ring >= 0)) return .bad_argument;
            if (acceptor and (!Sys.isStream(peer.doorbell) or (!shared and !Sys.isStream(peer.data)))) return .bad_region;
            const outcome = c.mapPeer(peer, shared);
            if (outcome != .ok) {
                c.peer_control.drop();
                c.peer_ring.drop();
                c.read_arena.drop();
                return outcome;
            }
            if (acceptor) {
                Sys.setNonBlocking(peer.doorbell);
                c.doorbell = peer.doorbell;
                peer.doorbell = -1;
                c.bell.doorbell = c.doorbell;
                if (!shared) {
                    c.transport.stream.socket = peer.data;
                    peer.data = -1;
                }
            }
            c.pid_fd = peer.pid;
            peer.pid = -1;
            c.attached = true;
            return .ok;
        }

        fn mapPeer(c: *Self, peer: *Peer, shared: bool) Outcome {
            if (!Sys.isRegion(peer.control, control.bytes, Sys.seals_read_only)) return .bad_region;
            var address = Sys.mapShared(peer.control, control.bytes, false);
            if (!c.peer_control.set(address, control.bytes)) return c.system(address);
            const theirs: *const Control = @ptrCast(c.peer_control.address.?);
            // each word once: the peer can write here at any time
            const at: *const volatile Control = theirs;
            if (at.magic != control.magic) return .bad_region;
            if (at.layout_version != control.layout_version or at.control_bytes != control.bytes) return .abi_mismatch;
            const size = at.ring_bytes;
            const max = at.max_message_bytes;
            if (!record.validRingBytes(size) or max == 0 or max > record.max_message_bytes or at.transport != @intFromEnum(c.options.kind)) return .bad_region;
            const agreed = @min(max, c.options.max_message);
            const fences = c.options.no_membarrier or at.flags & control.flag_no_membarrier != 0;

            var copies = peer.trust == .untrusted or c.options.trust == .untrusted;
            if (shared) {
                const seals = if (peer.trust == .untrusted) Sys.seals_read_only else Sys.seals_fixed_size;
                if (!Sys.isRegion(peer.ring, size, seals)) return .bad_region;
                if (!copies) {
                    // writable only so that a stray store of the application into a lent buffer is no crash
                    copies = !c.peer_ring.set(Sys.mapShared(peer.ring, size, true), size);
                }
                if (copies) {
                    address = Sys.mapShared(peer.ring, size, false);
                    if (!c.peer_ring.set(address, size)) return c.system(address);
                }
            }
            if (!shared or copies) {
                address = Sys.mapPrivate(size);
                if (!c.read_arena.set(address, size)) return c.system(address);
            }
            c.bell.peer = theirs;
            c.bell.fence = fences;
            c.options.max_message = agreed;
            c.writer().max_message = agreed;
            switch (c.transport) {
                .ring => |*t| {
                    const base = c.peer_ring.address.?;
                    t.writer.released_at = &theirs.released;
                    t.reader = .init(base, if (copies) c.read_arena.address.? else base, size, agreed, &c.bell);
                },
                .stream => |*t| t.reader = .init(c.read_arena.address.?, size, agreed, &c.bell),
            }
            return .ok;
        }

        /// Tells the peer, frees everything. What a stream could not send by now is lost.
        pub fn close(c: *Self) void {
            if (!c.write_closed and c.attached and c.faulted == fault.none) {
                c.write_closed = true;
                switch (c.transport) {
                    inline else => |*t| t.end(),
                }
            }
            if (c.faulted == fault.none) @atomicStore(u32, &c.bell.own.state, @intFromEnum(control.State.closed), .release);
            c.bell.notifyAll();
            c.closeSocket();
            Sys.close(c.doorbell);
            Sys.close(c.pid_fd);
            c.joiner.deinit();
            c.unmapAll();
        }

        fn closeSocket(c: *Self) void {
            switch (c.transport) {
                .ring => {},
                .stream => |*t| {
                    Sys.close(t.socket);
                    t.socket = -1;
                },
            }
        }

        fn unmapAll(c: *Self) void {
            inline for (.{ "write_arena", "read_arena", "peer_ring", "own_control", "peer_control" }) |name| @field(c, name).drop();
        }

        // ---- reading ----

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

        /// Hands out new records: how many bytes of them (see block), or a negative Outcome.
        pub fn refill(c: *Self) i32 {
            if (c.state()) |bad| return bad;
            const before = c.peerGone();
            switch (c.transport) {
                inline else => |*t| {
                    if (t.look()) {
                        const window = t.offer_();
                        c.block[Block.read_offset] = window.offset;
                        c.block[Block.read_limit] = window.limit;
                        c.traffic = true;
                        return @intCast(window.limit - window.offset);
                    }
                    t.idle();
                },
            }
            return c.nothing(before);
        }

        /// Is there something refill() would hand out, or an end it would report?
        pub fn readable(c: *Self) bool {
            if (c.state() != null) return true;
            const before = c.peerGone();
            switch (c.transport) {
                inline else => |*t| {
                    if (c.joiner.complete or t.look()) return true;
                    t.idle();
                },
            }
            return c.nothing(before) != @intFromEnum(Outcome.empty);
        }

        fn state(c: *Self) ?i32 {
            if (c.faulted != fault.none) return @intFromEnum(Outcome.peer_fault);
            if (!c.attached) return @intFromEnum(Outcome.bad_argument);
            return null;
        }

        const Gone = enum { no, write_closed, closed, faulted, dead };

        /// Looked at before the records, so that what was committed earlier is found first.
        fn peerGone(c: *Self) Gone {
            const seen: control.State = @enumFromInt(@atomicLoad(u32, &c.bell.peer.state, .acquire));
            switch (seen) {
                .open => {},
                .write_closed => {
                    c.block[Block.peer_state] = 1;
                    if (!c.dead) return .write_closed;
                },
                .closed => {
                    c.block[Block.peer_state] = 2;
                    return .closed;
                },
                .faulted => {
                    c.block[Block.peer_state] = 3;
                    return .faulted;
                },
                _ => {
                    c.fail(fault.state);
                    return .no;
                },
            }
            return if (c.dead) .dead else .no;
        }

        /// Nothing new was found: what does that mean, given what was known before looking?
        fn nothing(c: *Self, before: Gone) i32 {
            var wrong: u32 = fault.none;
            var ended = false;
            var hung_up = false;
            switch (c.transport) {
                inline else => |*t| {
                    wrong = t.fault();
                    ended = t.ended();
                    hung_up = t.hungUp();
                },
            }
            if (wrong != fault.none) c.fail(wrong);
            if (c.faulted != fault.none) return @intFromEnum(Outcome.peer_fault);
            if (ended) return @intFromEnum(Outcome.ended);
            const streams = c.transport == .stream;
            // on a stream the last bytes may still be in the socket when the control region already says closed
            const outcome: Outcome = switch (before) {
                .no => if (hung_up) c.hungUp() else .empty,
                .write_closed, .closed => if (!streams) .ended else if (hung_up) c.hungUp() else .empty,
                .faulted => c.accused(),
                .dead => .peer_dead,
            };
            if (outcome == .peer_dead) c.block[Block.peer_state] = peer_state_dead;
            return @intFromEnum(outcome);
        }

        /// The kernel closed the stream: was it said, or did the peer die?
        fn hungUp(c: *Self) Outcome {
            return switch (c.peerGone()) {
                .closed => .ended,
                .faulted => c.accused(),
                else => .peer_dead,
            };
        }

        fn accused(c: *Self) Outcome {
            c.block[Block.detail] = @as(*const volatile u32, &c.bell.peer.state_code).*;
            return .peer_fault;
        }

        pub fn consume(c: *Self, bytes: u32, messages: u32, payload_bytes: u32) Outcome {
            if (!c.attached) return .bad_argument;
            switch (c.transport) {
                inline else => |*t| return if (t.consume(bytes, messages, payload_bytes)) .ok else .bad_argument,
            }
        }

        /// One whole message into `out`: its size, or a negative Outcome. Too large: it stays, block[detail] says its size.
        pub fn receive(c: *Self, out: []u8) i32 {
            if (c.state()) |bad| return bad;
            const before = c.peerGone();
            if (c.joiner.complete) return c.deliver(out, c.joiner.message(), true);
            switch (c.transport) {
                inline else => |*t| {
                    while (t.peek()) |h| {
                        const part = t.payload(h);
                        switch (h.kind) {
                            .message => {
                                const size = c.deliver(out, part, false);
                                if (size >= 0) t.drop(h);
                                return size;
                            },
                            .first => {
                                // checked when it was scanned, but a trusted peer may have changed its own memory since
                                if (part.len < record.fragment_prefix_bytes) break c.fail(fault.length);
                                const total = @as(*const volatile u32, @ptrCast(@alignCast(part.ptr))).*;
                                if (total > c.options.max_message) break c.fail(fault.length);
                                if (!c.joiner.begin(total)) return c.systemErrno(12);
                                if (!c.joiner.append(part[record.fragment_prefix_bytes..])) break c.fail(fault.fragment);
                            },
                            .more, .last => if (!c.joiner.append(part)) break c.fail(fault.fragment),
                            else => {},
                        }
                        t.drop(h);
                        if (h.kind == .last) {
                            c.joiner.complete = true;
                            return c.deliver(out, c.joiner.message(), true);
                        }
                    }
                },
            }
            return c.nothing(before);
        }

        fn deliver(c: *Self, out: []u8, message: []const u8, joined: bool) i32 {
            if (message.len > out.len) {
                c.block[Block.detail] = @truncate(message.len);
                return @intFromEnum(Outcome.too_large);
            }
            @memcpy(out[0..message.len], message);
            if (joined) c.joiner.complete = false;
            c.traffic = true;
            switch (c.transport) {
                inline else => |*t| t.delivered(@intCast(message.len)),
            }
            return @intCast(message.len);
        }

        // ---- writing ----

        fn writeState(c: *Self) ?Outcome {
            if (c.faulted != fault.none) return .peer_fault;
            if (c.write_closed) return .closed;
            return null;
        }

        /// Nobody is left to read what would be written.
        fn unheard(c: *Self) ?Outcome {
            const outcome: Outcome = switch (c.peerGone()) {
                .no, .write_closed => if (c.faulted != fault.none) .peer_fault else if (c.broken()) .peer_dead else return null,
                .closed => .ended,
                .faulted => c.accused(),
                .dead => .peer_dead,
            };
            if (outcome == .peer_dead) c.block[Block.peer_state] = peer_state_dead;
            return outcome;
        }

        fn broken(c: *Self) bool {
            return switch (c.transport) {
                .ring => false,
                .stream => |*t| t.broken,
            };
        }

        /// Bytes free behind what is published, fresh; or a negative Outcome.
        pub fn space(c: *Self) i32 {
            if (c.writeState()) |bad| return @intFromEnum(bad);
            switch (c.transport) {
                inline else => |*t| if (t.pending()) {
                    _ = t.pump();
                },
            }
            if (c.unheard()) |bad| return @intFromEnum(bad);
            const w = c.writer();
            if (!w.refresh()) {
                c.fail(w.fault);
                return @intFromEnum(Outcome.peer_fault);
            }
            w.shortage = w.free();
            c.block[Block.free] = w.shortage;
            return @intCast(w.shortage);
        }

        pub fn publish(c: *Self, bytes: u32, word0: u32, word1: u32, messages: u32, payload_bytes: u32) Outcome {
            if (c.writeState()) |bad| return bad;
            const w = c.writer();
            const done = switch (c.transport) {
                inline else => |*t| t.publish(bytes, .fromWords(word0, word1), messages, payload_bytes),
            };
            c.block[Block.free] = w.free();
            c.traffic = true;
            if (done) return .ok;
            if (w.fault == fault.none) return .bad_argument;
            c.fail(w.fault);
            return .peer_fault;
        }

        pub fn send(c: *Self, message: []const u8) Outcome {
            if (c.writeState()) |bad| return bad;
            const sent = switch (c.transport) {
                inline else => |*t| t.send(message),
            };
            c.block[Block.free] = c.writer().free();
            c.traffic = true;
            switch (sent) {
                .ok => return .ok,
                .too_large => return .too_large,
                .other_message => return .bad_argument,
                .no_space => {
                    if (c.writer().fault != fault.none) {
                        c.fail(c.writer().fault);
                        return .peer_fault;
                    }
                    return c.unheard() orelse .no_space;
                },
            }
        }

        /// Is there more room than when it last ran short, or an end that space() would report?
        pub fn writable(c: *Self) bool {
            if (c.faulted != fault.none) return true;
            const waiting = switch (c.transport) {
                inline else => |*t| t.pump() != 0,
            };
            if (c.unheard() != null) return true;
            // a socket that is full: only progress counts, else whoever waits for it would be woken for nothing
            if (waiting) return !c.writer().refresh() or c.writer().free() > c.writer().shortage;
            return c.write_closed or c.writer().writable();
        }

        /// Bytes of a stream that the socket has not taken yet.
        pub fn pump(c: *Self) i32 {
            const queued = switch (c.transport) {
                inline else => |*t| t.pump(),
            };
            if (queued != 0 and c.writer().refresh()) c.writer().shortage = c.writer().free();
            return @intCast(queued);
        }

        pub fn closeWrite(c: *Self) Outcome {
            if (c.faulted != fault.none) return .peer_fault;
            if (c.write_closed) return .closed;
            if (c.writer().sending != 0) return .bad_argument; // in the middle of a message
            c.write_closed = true;
            switch (c.transport) {
                inline else => |*t| t.end(),
            }
            @atomicStore(u32, &c.bell.own.state, @intFromEnum(control.State.write_closed), .release);
            c.bell.notifyAll();
            return .ok;
        }

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

        fn system(c: *Self, rc: isize) Outcome {
            if (rc < -1 or c.block[Block.errno] == 0) c.block[Block.errno] = @truncate(@as(usize, @bitCast(-%rc)));
            return .system;
        }

        fn systemErrno(c: *Self, errno: u32) i32 {
            c.block[Block.errno] = errno;
            return @intFromEnum(Outcome.system);
        }
    };
}
