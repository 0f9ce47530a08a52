//! A channel outlives its transports: each direction is a list of paths, one epoch after the other (docs/reference/reconfiguration.md).
//!
//!   writer    idle ─order→ making → offered ─accept→ ready ─cross()→ draining ─crossed→ idle
//!               ↑             │ refuse, cancel │                               │ the newest order that waited
//!               └─────────────┴────────────────┘ (old path untouched)          └→ offered
//!   reader    … ─offer→ prepared ─marker reached, all handed out→ crossed
//!
//! Before the marker anything may be given up and the old path just goes on; from the marker on there is only forward. The writer makes a
//! path and offers it over the link; the reader maps it and accepts. Then the writer puts the marker behind its last record and writes on
//! in the new path, while the reader still empties the old one. What a broken path did not deliver goes over the link as memory.
//! Memory is made little by little, between two messages: a page takes microseconds, and the reader would notice a whole ring of them.
//! Everything here runs in the thread that owns the channel.

const std = @import("std");
const channels = @import("channel.zig");
const control = @import("../layout/control.zig");
const link = @import("../layout/link.zig");
const record = @import("../layout/record.zig");
const fault = @import("fault.zig");
const Block = channels.Block;
const Kind = channels.Kind;
const Outcome = channels.Outcome;
const Frame = link.Frame;

pub const Phase = enum { idle, making, offered, ready, draining };
pub const What = enum(u32) { pending = 1, ready = 2, moved = 3, drained = 4, refused = 5 };
pub const reason_path_lost: u32 = 4;

/// The reasons of include/fable.h; a peer may say anything.
pub fn validReason(reason: u32) bool {
    return reason >= 1 and reason <= reason_path_lost;
}

pub const Order = struct {
    kind: Kind,
    ring_bytes: u32,
    reason: u32,
    /// The peer asked for it, and wants to know if it comes to nothing.
    asked: bool = false,

    fn like(order: Order, other: Order) bool {
        return order.kind == other.kind and order.ring_bytes == other.ring_bytes;
    }
};

/// fable_switch_event
pub const Event = extern struct {
    direction: u32,
    what: u32,
    from: u32,
    to: u32,
    epoch: u32,
    reason: u32,
    status: u32,
    old_bytes: u32,
    at_ns: u64,
};

/// Old arenas that the program still looks at, per direction.
const max_retired = 8;
const kept_events = 16;
/// Offers and asks in two seconds without a crossing, and frames of a peer in one: more is no honest peer.
const max_attempts = 64;
const max_asks = 32;
const max_frames = 256;
const frames_window_ns = std.time.ns_per_s;
/// A broken path that could not be replaced, for want of memory here or there, is tried again after this time.
pub const repair_pause_ns = 15 * std.time.ns_per_ms;
/// Paths through the kernel keep what the other end has not yet: less than this and they stand still between two wake-ups.
const min_stream_bytes = 256 << 10;
/// How much memory is made between two messages.
const make_bytes = 4 << 10;

pub fn State(comptime Self: type) type {
    return struct {
        const Retired = struct { epoch: u32 = 0, arena: Self.Mapping = .{}, ring: Self.Mapping = .{} };

        phase: Phase = .idle,
        attempt: u32 = 0,
        attempts: u32 = 0,
        attempts_ns: u64 = 0,
        /// Asked of the peer lately.
        asks: u32 = 0,
        asks_ns: u64 = 0,
        order: Order = undefined,
        /// How much of the next path's memory is there.
        made: u32 = 0,
        made_fd: i32 = -1,
        waiting: ?Order = null,
        /// The program no longer looks at the write arena that is being drained.
        old_retired: bool = true,
        old: ?*Self.Out = null,

        prepared: bool = false,
        prepared_attempt: u32 = 0,
        prepared_reason: u32 = 0,
        /// Answers that found the link full: `crossed`, and what became of the newest offer.
        owed: [2]?Frame = .{ null, null },
        /// When a broken path may be offered again.
        repair_at: u64 = 0,
        /// The peer was asked for something that has not come about yet.
        asked: bool = false,
        /// Epoch + 1 whose loss was reported to the writer.
        loss_said: u32 = 0,

        written: [max_retired]Retired = @splat(.{}),
        read: [max_retired]Retired = @splat(.{}),
        /// Orders of the peer that were looked at; frames that came, in all and since a crossing.
        orders_seen: u32 = 0,
        frames: u32 = 0,
        frames_lately: u32 = 0,
        lately_ns: u64 = 0,
        events: [kept_events]Event = undefined,
        first_event: u32 = 0,
        event_count: u32 = 0,

        pub fn draining(s: *const @This()) ?*Self.Out {
            return s.old;
        }
    };
}

pub fn Epochs(comptime Sys: type, comptime Self: type) type {
    return struct {
        const Out = Self.Out;
        const In = Self.In;
        const paths = @import("paths.zig").Paths(Sys, Self);
        pub const makeRing = paths.makeRing;
        pub const mapRing = paths.mapRing;
        pub const dropIn = paths.dropIn;

        fn otherOut(c: *Self) *Out {
            return if (c.out == &c.outs[0]) &c.outs[1] else &c.outs[0];
        }
        fn otherIn(c: *Self) *In {
            return if (c.in == &c.ins[0]) &c.ins[1] else &c.ins[0];
        }

        // ---- the writer's part ----

        /// Orders the outgoing direction to go on through `kind`.
        pub fn switchTo(c: *Self, kind: Kind, ring_bytes: u32, reason: u32) Outcome {
            return switchFor(c, kind, ring_bytes, reason, false);
        }

        fn switchFor(c: *Self, kind: Kind, ring_bytes: u32, reason: u32, asked_for: bool) Outcome {
            if (!c.attached) return .bad_argument;
            if (c.faulted != fault.none) return .peer_fault;
            if (c.write_closed) return .closed;
            if (kind == .vmsplice_coop and c.copies) return .unsupported;
            const now = c.out.arena.size;
            const size = if (ring_bytes != 0) ring_bytes else if (c.out.kind.memory() or kind == c.out.kind) now else c.options.ring_bytes;
            if (!record.validRingBytes(size)) return .bad_argument;
            const s = &c.epochs;
            const order: Order = .{ .kind = kind, .ring_bytes = if (kind.memory()) size else @max(size, min_stream_bytes), .reason = reason, .asked = asked_for };
            const there = kind == c.out.kind and (ring_bytes == 0 or order.ring_bytes == now) and !isBroken(c.out);
            switch (s.phase) {
                .idle => return if (there) .empty else offer(c, order),
                .making, .offered, .ready => {
                    if (order.like(s.order)) {
                        s.order.asked = s.order.asked or asked_for;
                        return .ok;
                    }
                    cancel(c);
                    return if (there) .ok else offer(c, order);
                },
                .draining => {
                    const older = s.waiting;
                    s.waiting = if (there) null else order;
                    if (older) |one| {
                        if (there or !order.like(one)) replaced(c, one) else s.waiting.?.asked = asked_for or one.asked;
                    }
                    return if (there) .empty else .ok;
                },
            }
        }

        fn offer(c: *Self, order: Order) Outcome {
            const s = &c.epochs;
            if (full(&s.written) or !allowed(&s.attempts, &s.attempts_ns, max_attempts)) return .no_space;
            const next = otherOut(c);
            next.* = .{ .transport = undefined, .kind = order.kind, .epoch = c.out.epoch +% 1 };
            s.order = order;
            if (order.kind.memory()) {
                const outcome = paths.beginMemory(c, next, order.ring_bytes, &s.made_fd);
                if (outcome != .ok) return giveUp(c, outcome);
                s.phase = .making;
                s.made = 0;
                if (order.ring_bytes <= make_bytes) makeMore(c);
                // An event loop has nothing to do between two messages that would bring it back here.
                while (c.options.windows and s.phase == .making) makeMore(c);
                return if (s.phase == .idle) .no_space else .ok;
            }
            return sendOffer(c);
        }

        /// A little more memory for the next path; when all of it is there the path is offered.
        pub fn makeMore(c: *Self) void {
            const s = &c.epochs;
            if (s.phase != .making) return;
            const next = otherOut(c);
            const count = @min(make_bytes, next.arena.size - s.made);
            const rc = Sys.populate(next.arena.address.? + s.made, count);
            var outcome: Outcome = if (rc < 0) c.system(rc) else .ok;
            if (outcome == .ok) {
                s.made += count;
                if (s.made < next.arena.size) return;
                outcome = sendOffer(c);
            }
            if (outcome == .ok) return;
            _ = giveUp(c, outcome);
            note(c, 1, .refused, c.out.kind, s.order.kind, c.out.epoch, s.order.reason, outcome, 0);
            if (s.order.asked and !c.options.windows) declined(c, s.order, outcome); // else asked() does
        }

        /// Not more in a while than the peer puts up with.
        fn allowed(count: *u32, since_ns: *u64, most: u32) bool {
            if (count.* > 0 and count.* < most) return true;
            const now = Sys.nowNs();
            if (count.* >= most and now -% since_ns.* < 2 * frames_window_ns) return false;
            since_ns.* = now;
            count.* = 0;
            return true;
        }

        fn giveUp(c: *Self, outcome: Outcome) Outcome {
            forgetNext(c);
            return outcome;
        }

        fn sendOffer(c: *Self) Outcome {
            const s = &c.epochs;
            const next = otherOut(c);
            const order = s.order;
            var fds: [link.max_fds]i32 = @splat(-1);
            defer for (fds) |fd| Sys.close(fd);
            fds[0] = s.made_fd;
            s.made_fd = -1;
            var outcome = paths.makeOut(c, next, order, &fds);
            if (outcome == .ok) {
                s.attempt +%= 1;
                const frame: Frame = .{ .kind = .offer, .attempt = s.attempt, .transport = @intFromEnum(order.kind), .ring_bytes = order.ring_bytes, .reason = order.reason };
                if (!tell(c, frame, paths.present(&fds))) outcome = .no_space;
            }
            if (outcome != .ok) return giveUp(c, outcome);
            s.attempts += 1;
            s.phase = .offered;
            note(c, 1, .pending, c.out.kind, order.kind, c.out.epoch, order.reason, .ok, 0);
            return .ok;
        }

        /// Before the marker: the old path just goes on.
        fn cancel(c: *Self) void {
            const s = &c.epochs;
            if (s.phase != .making) _ = tell(c, .{ .kind = .cancel, .attempt = s.attempt }, &.{});
            forgetNext(c);
            replaced(c, s.order);
        }

        /// A newer order took the place of this one.
        fn replaced(c: *Self, order: Order) void {
            note(c, 1, .refused, c.out.kind, order.kind, c.out.epoch, order.reason, .ok, 0);
            if (order.asked) declined(c, order, .ok);
        }

        fn forgetNext(c: *Self) void {
            paths.dropOut(otherOut(c));
            Sys.close(c.epochs.made_fd);
            c.epochs.made_fd = -1;
            c.epochs.phase = .idle;
            c.block[Block.crossing] = 0;
        }

        fn accepted(c: *Self, frame: Frame) void {
            const s = &c.epochs;
            if (s.phase != .offered or frame.attempt != s.attempt) return; // of an offer that was cancelled meanwhile
            const next = otherOut(c);
            switch (next.transport) {
                .ring => |*t| t.writer.released_at = c.bell.peer.released(next.epoch),
                .heap => {},
                .stream => |*t| {
                    t.received_at = c.bell.peer.released(next.epoch);
                    t.taken_at = c.bell.peer.streamTaken(next.epoch);
                },
            }
            s.phase = .ready;
            c.block[Block.crossing] = 1;
            note(c, 1, .ready, c.out.kind, next.kind, c.out.epoch, s.order.reason, .ok, 0);
            if (!c.options.windows) _ = cross(c);
        }

        fn refused(c: *Self, frame: Frame) void {
            const s = &c.epochs;
            const said = if (frame.status > 0 and frame.status <= 20) std.enums.fromInt(Outcome, -@as(i32, @intCast(frame.status))) else null;
            const status: Outcome = said orelse if (frame.attempt == 0 and frame.status == 0) .ok else .unsupported; // the peer may say anything
            if (frame.attempt == 0) {
                s.asked = false;
                const to = std.enums.fromInt(Kind, frame.transport) orelse c.in.kind;
                return note(c, 2, .refused, c.in.kind, to, c.in.epoch, frame.reason, status, 0);
            }
            if (s.phase != .offered or frame.attempt != s.attempt) return;
            forgetNext(c);
            s.attempts = 0;
            if (s.order.reason == reason_path_lost) s.repair_at = Sys.nowNs() +% repair_pause_ns;
            note(c, 1, .refused, c.out.kind, s.order.kind, c.out.epoch, s.order.reason, status, 0);
            if (s.order.asked) declined(c, s.order, status);
        }

        /// To the peer that asked.
        fn declined(c: *Self, order: Order, status: Outcome) void {
            _ = tell(c, .{ .kind = .refuse, .transport = @intFromEnum(order.kind), .status = statusOf(status), .reason = order.reason }, &.{});
        }

        /// The marker behind everything published; from here on the next path.
        pub fn cross(c: *Self) Outcome {
            const s = &c.epochs;
            if (s.phase != .ready) return .empty;
            if (c.write_closed) return .closed;
            const old = c.out;
            const before = c.writer();
            if (before.held != 0) return .bad_argument;
            switch (old.transport) {
                inline else => |*t| t.marker(),
            }
            c.out = otherOut(c);
            c.writer().follow(before);
            c.writer().max_message = c.options.max_message;
            s.old = old;
            s.old_retired = !c.options.windows;
            s.phase = .draining;
            const own = c.bell.own;
            own.write_transport = @intFromEnum(c.out.kind);
            own.switches +%= 1;
            own.switch_reason = s.order.reason;
            @atomicStore(u32, &own.write_epoch, c.out.epoch, .release);
            c.block[Block.crossing] = 0;
            c.block[Block.write_epoch] = c.out.epoch;
            c.block[Block.write_transport] = @intFromEnum(c.out.kind);
            c.block[Block.write_offset] = @as(u32, @truncate(c.writer().position)) & c.writer().mask;
            c.block[Block.free] = c.writer().free();
            note(c, 1, .moved, old.kind, c.out.kind, c.out.epoch, s.order.reason, .ok, queued(old));
            // a reader that wants nothing at the moment would not notice
            _ = tell(c, .{ .kind = .marked, .attempt = s.attempt }, &.{});
            repair(c);
            return .ok;
        }

        fn queued(old: *Out) u32 {
            switch (old.transport) {
                inline else => |*t| {
                    t.acknowledge();
                    _ = t.writer.refresh();
                    return @truncate(t.writer.published -% t.writer.released);
                },
            }
        }

        /// The reader has everything of the old path.
        fn crossed(c: *Self, frame: Frame) void {
            const s = &c.epochs;
            const old = s.old orelse return;
            if (frame.attempt != s.attempt) return;
            switch (old.transport) {
                inline else => |*t| t.close(),
            }
            if (s.old_retired) old.arena.drop() else keep(&s.written, old.epoch, &old.arena, null);
            note(c, 1, .drained, old.kind, c.out.kind, c.out.epoch, s.order.reason, .ok, 0);
            old.live = false;
            s.old = null;
            s.phase = .idle;
            s.attempts = 0;
            s.frames_lately = 0;
            const next = s.waiting orelse return;
            s.waiting = null;
            const outcome = if (next.kind == c.out.kind and next.ring_bytes == c.out.arena.size) Outcome.ok else offer(c, next);
            while (s.phase == .making) makeMore(c); // this end may want nothing any more, and have no other occasion
            if (outcome == .ok) return;
            note(c, 1, .refused, c.out.kind, next.kind, c.out.epoch, next.reason, outcome, 0);
            if (next.asked) declined(c, next, outcome);
        }

        /// A path that broke while both ends live: what it did not deliver goes by memory, what comes next through another path.
        pub fn repair(c: *Self) void {
            if (!c.attached or c.dead or c.faulted != fault.none) return;
            const s = &c.epochs;
            if (s.old) |old| if (isBroken(old) and !old.rest_sent) sendRest(c, old);
            if (!isBroken(c.out) or c.out.rest_sent) return;
            if (c.write_closed) return sendRest(c, c.out);
            if (s.phase != .idle) return;
            if (s.repair_at != 0 and Sys.nowNs() < s.repair_at) return;
            s.repair_at = 0;
            // nothing can be sent meanwhile: its memory is made at once
            defer while (s.phase == .making) makeMore(c);
            const kind = c.out.kind;
            const size = c.out.arena.size;
            if (offer(c, .{ .kind = kind, .ring_bytes = size, .reason = reason_path_lost }) == .ok) return;
            if (offer(c, .{ .kind = if (kind == .unix) .mempipe else .unix, .ring_bytes = size, .reason = reason_path_lost }) == .ok) return;
            s.repair_at = Sys.nowNs() +% repair_pause_ns;
        }

        /// A path is broken (or an answer owed), and nothing is under way that would wake this end to repair it.
        pub fn owesRepair(c: *Self) bool {
            if (!c.attached or c.dead or c.faulted != fault.none) return false;
            const s = &c.epochs;
            const old = if (s.old) |one| isBroken(one) and !one.rest_sent else false;
            if (!old and !owes(s) and !(isBroken(c.out) and !c.out.rest_sent and (c.write_closed or s.phase == .idle))) return false;
            return !unheard(c);
        }

        pub fn isBroken(out: *const Out) bool {
            return switch (out.transport) {
                inline else => |*t| t.broken(),
            };
        }

        fn sendRest(c: *Self, out: *Out) void {
            const t = switch (out.transport) {
                .ring, .heap => return,
                .stream => |*one| one,
            };
            t.acknowledge();
            var size: u64 = 0;
            var at = t.acked;
            while (at < t.writer.published) {
                const stop = t.writer.runEnd(at, t.writer.published) orelse {
                    at = t.writer.lapEnd(at);
                    continue;
                };
                size += stop - at;
                at = stop;
            }
            if (size == 0) {
                out.rest_sent = true;
                return;
            }
            var fd: i32 = -1;
            defer Sys.close(fd);
            if (paths.pack(c, &t.writer, t.acked, size, &fd) != .ok) return; // the next look tries again
            const frame: Frame = .{ .kind = .rest, .attempt = out.epoch, .ring_bytes = @intCast(size), .first = t.acked_bytes };
            out.rest_sent = tell(c, frame, &.{fd});
        }

        // ---- the reader's part ----

        /// Asks the peer to move the direction it writes.
        pub fn ask(c: *Self, kind: Kind, ring_bytes: u32, reason: u32) Outcome {
            if (!c.attached) return .bad_argument;
            if (c.faulted != fault.none) return .peer_fault;
            if (kind == .vmsplice_coop and c.copies) return .unsupported;
            if (kind == c.in.kind and ring_bytes == 0 and !c.epochs.prepared and !c.epochs.asked) return .empty;
            const frame: Frame = .{ .kind = .ask, .transport = @intFromEnum(kind), .ring_bytes = ring_bytes, .reason = reason };
            if (!allowed(&c.epochs.asks, &c.epochs.asks_ns, max_asks) or !tell(c, frame, &.{})) return .no_space;
            c.epochs.asks += 1;
            c.epochs.asked = true;
            return .ok;
        }

        fn asked(c: *Self, frame: Frame) void {
            const kind = std.enums.fromInt(Kind, frame.transport) orelse return c.fail(fault.state);
            const outcome = switchFor(c, kind, frame.ring_bytes, frame.reason, true);
            if (outcome == .ok or outcome == .empty) return;
            declined(c, .{ .kind = kind, .ring_bytes = 0, .reason = frame.reason }, outcome);
        }

        fn offered(c: *Self, frame: Frame, fds: []i32) void {
            const s = &c.epochs;
            const kind = std.enums.fromInt(Kind, frame.transport) orelse return c.fail(fault.state);
            dropNext(c);
            const next = otherIn(c);
            next.* = .{ .transport = undefined, .kind = kind, .epoch = c.in.epoch +% 1 };
            const outcome: Outcome = if (full(&s.read)) .no_space else paths.mapIn(c, next, frame.ring_bytes, fds);
            if (outcome != .ok) {
                paths.dropIn(next);
                answer(c, .{ .kind = .refuse, .attempt = frame.attempt, .status = statusOf(outcome) });
                return;
            }
            s.prepared = true;
            s.prepared_attempt = frame.attempt;
            s.prepared_reason = frame.reason;
            @atomicStore(u64, c.bell.own.released(next.epoch), 0, .release);
            @atomicStore(u64, c.bell.own.streamTaken(next.epoch), 0, .release);
            answer(c, .{ .kind = .accept, .attempt = frame.attempt });
        }

        fn cancelled(c: *Self, frame: Frame) void {
            if (c.epochs.prepared and frame.attempt == c.epochs.prepared_attempt) dropNext(c);
        }

        fn dropNext(c: *Self) void {
            if (!c.epochs.prepared) return;
            c.epochs.prepared = false;
            c.block[Block.coming] = 0;
            paths.dropIn(otherIn(c));
        }

        /// Everything before the marker was handed out: what follows comes through the next path. `lent`: the program still looks at the
        /// old arena, and will say when it no longer does. False: there is no next path, which no honest writer does.
        pub fn crossIn(c: *Self, lent: bool) bool {
            const s = &c.epochs;
            if (!s.prepared) {
                c.fail(fault.state);
                return false;
            }
            const old = c.in;
            const next = otherIn(c);
            switch (old.transport) {
                inline else => |*from| {
                    from.tell();
                    from.idle();
                    switch (next.transport) {
                        inline else => |*to| {
                            to.reader.messages = from.reader.messages;
                            to.reader.bytes = from.reader.bytes;
                            const limit = to.reader.checker.max_length;
                            to.reader.checker = from.reader.checker;
                            to.reader.checker.max_length = limit;
                        },
                    }
                },
            }
            c.in = next;
            s.prepared = false;
            s.asked = false;
            c.block[Block.coming] = 0;
            s.frames_lately = 0;
            if (lent) keep(&s.read, old.epoch, &old.arena, &old.ring);
            const from = old.kind;
            paths.dropIn(old);
            const own = c.bell.own;
            own.read_transport = @intFromEnum(next.kind);
            @atomicStore(u32, &own.read_epoch, next.epoch, .release);
            c.block[Block.read_epoch] = next.epoch;
            c.block[Block.read_transport] = @intFromEnum(next.kind);
            note(c, 2, .moved, from, next.kind, next.epoch, s.prepared_reason, .ok, 0);
            answer(c, .{ .kind = .crossed, .attempt = s.prepared_attempt });
            return true;
        }

        fn marked(c: *Self, frame: Frame) void {
            if (c.epochs.prepared and frame.attempt == c.epochs.prepared_attempt) c.block[Block.coming] = 1;
        }

        /// The path broke and its writer may not know yet. False: nobody is there to send the rest.
        pub fn reportLoss(c: *Self) bool {
            const s = &c.epochs;
            if (c.dead) return false;
            if (s.loss_said == c.in.epoch +% 1) return true;
            if (tell(c, .{ .kind = .lost, .attempt = c.in.epoch }, &.{})) s.loss_said = c.in.epoch +% 1; // else the next look tries again
            return !c.dead;
        }

        fn lost(c: *Self, frame: Frame) void {
            for ([_]?*Out{ c.out, c.epochs.old }) |one| {
                const path = one orelse continue;
                if (path.epoch != frame.attempt) continue;
                switch (path.transport) {
                    .ring, .heap => {},
                    .stream => |*t| t.broken_ = true,
                }
            }
            repair(c);
        }

        /// Perhaps of a path that this end has not come to yet.
        fn restCame(c: *Self, frame: Frame, fds: []i32) void {
            const in = if (frame.attempt == c.in.epoch) c.in else if (c.epochs.prepared) otherIn(c) else return;
            if (frame.attempt != in.epoch) return;
            const t = switch (in.transport) {
                .ring, .heap => return,
                .stream => |*one| one,
            };
            if (t.rest_bytes != 0) return;
            const size = frame.ring_bytes;
            if (fds.len != 1 or size == 0 or size > record.max_ring_bytes or !Sys.isRegion(fds[0], size, Sys.seals_read_only)) return c.fail(fault.state);
            const had = t.reader.filled_bytes;
            if (frame.first > had or had - frame.first > size) return c.fail(fault.cursor);
            t.rest_fd = fds[0];
            fds[0] = -1;
            t.rest_bytes = size;
            t.rest_at = @intCast(had - frame.first);
            t.reader.hung_up = true;
        }

        // ---- the link ----

        /// Takes the peer's frames. Cheap when there are none.
        pub fn attend(c: *Self) void {
            if (!c.attached) return;
            const s = &c.epochs;
            if (s.phase == .making) makeMore(c);
            const orders: u32 = @truncate(c.bell.peer.news() >> 32);
            if (owes(s)) payOwed(c);
            if (orders == s.orders_seen) return;
            s.orders_seen = orders;
            c.calm = @as(u64, orders) << 32;
            takeFrames(c);
        }

        /// What a peer that died said last, perhaps without counting it. True: it handed something over.
        pub fn lastFrames(c: *Self) bool {
            takeFrames(c);
            return switch (c.in.transport) {
                .ring, .heap => false,
                .stream => |*t| t.rest_at < t.rest_bytes,
            };
        }

        fn takeFrames(c: *Self) void {
            const s = &c.epochs;
            for (0..max_frames) |_| {
                var frame: Frame = undefined;
                var fds: [link.max_fds]i32 = @splat(-1);
                var count: u32 = 0;
                const got = Sys.receivePacket(c.link, std.mem.asBytes(&frame), &fds, &count);
                if (got == Sys.again) return;
                if (got <= 0) return c.doorbellHungUp();
                defer for (fds) |fd| Sys.close(fd);
                s.frames +%= 1;
                countFrame(s);
                c.countRings();
                if (got != @sizeOf(Frame) or s.frames_lately > max_frames) return c.fail(fault.state);
                handle(c, frame, fds[0..count]);
                if (c.faulted != fault.none) return;
            }
        }

        fn countFrame(s: anytype) void {
            s.frames_lately += 1;
            if (s.frames_lately < max_frames) return;
            const now = Sys.nowNs();
            if (now -% s.lately_ns > frames_window_ns) s.frames_lately = 0;
            s.lately_ns = now;
        }

        fn handle(c: *Self, frame: Frame, fds: []i32) void {
            const orders = frame.kind == .offer or frame.kind == .ask or (frame.kind == .refuse and frame.attempt == 0);
            if (orders and !validReason(frame.reason)) return c.fail(fault.state);
            switch (frame.kind) {
                .offer => offered(c, frame, fds),
                .accept => accepted(c, frame),
                .refuse => refused(c, frame),
                .cancel => cancelled(c, frame),
                .crossed => crossed(c, frame),
                .rest => restCame(c, frame, fds),
                .lost => lost(c, frame),
                .ask => asked(c, frame),
                .marked => marked(c, frame),
                _ => c.fail(fault.state),
            }
        }

        fn tell(c: *Self, frame: Frame, fds: []const i32) bool {
            const sent = Sys.sendPacket(c.link, std.mem.asBytes(&frame), fds);
            if (sent == @sizeOf(Frame)) {
                c.bell.order();
                return true;
            }
            if (sent != Sys.again) c.doorbellHungUp();
            return false;
        }

        fn owes(s: anytype) bool {
            return s.owed[0] != null or s.owed[1] != null;
        }

        noinline fn payOwed(c: *Self) void {
            for (&c.epochs.owed) |*one| if (one.*) |frame| {
                if (tell(c, frame, &.{}) or unheard(c)) one.* = null;
            };
        }

        fn unheard(c: *Self) bool {
            return switch (c.peerGone()) {
                .no, .write_closed => false,
                .closed, .faulted, .dead => true,
            };
        }

        /// What the peer waits for: said as soon as there is room. A peer that has gone waits no longer, and what it wrote before can still
        /// be read.
        fn answer(c: *Self, frame: Frame) void {
            const said = tell(c, frame, &.{}) or unheard(c);
            c.epochs.owed[if (frame.kind == .crossed) 0 else 1] = if (said) null else frame;
        }

        // ---- what is kept ----

        fn full(list: anytype) bool {
            for (list) |*one| if (one.arena.address == null and one.ring.address == null) return false;
            return true;
        }

        fn keep(list: anytype, epoch: u32, arena: *Self.Mapping, ring: ?*Self.Mapping) void {
            for (list) |*one| {
                if (one.arena.address != null or one.ring.address != null) continue;
                one.epoch = epoch;
                one.arena = arena.*;
                arena.* = .{};
                if (ring) |more| {
                    one.ring = more.*;
                    more.* = .{};
                }
                return;
            }
        }

        /// Nothing of the old arena of `epoch` is looked at any more.
        pub fn retire(c: *Self, written: bool, epoch: u32, messages: u32, payload_bytes: u32) Outcome {
            const s = &c.epochs;
            if (written) if (s.old) |old| if (old.epoch == epoch) {
                s.old_retired = true;
                if (old.transport == .ring) old.arena.drop();
                return .ok;
            };
            for (if (written) &s.written else &s.read) |*one| {
                if (one.epoch != epoch or (one.arena.address == null and one.ring.address == null)) continue;
                one.arena.drop();
                one.ring.drop();
                if (!written) switch (c.in.transport) {
                    inline else => |*t| {
                        t.reader.messages +%= messages;
                        t.reader.bytes +%= payload_bytes;
                        c.bell.own.messages_delivered = t.reader.messages;
                        c.bell.own.bytes_delivered = t.reader.bytes;
                    },
                };
                return .ok;
            }
            return .bad_argument;
        }

        fn note(c: *Self, direction: u32, what: What, from: Kind, to: Kind, epoch: u32, reason: u32, status: Outcome, old_bytes: u32) void {
            const s = &c.epochs;
            if (s.event_count == kept_events) {
                s.first_event +%= 1;
                s.event_count -= 1;
            }
            s.events[(s.first_event +% s.event_count) % kept_events] = .{
                .direction = direction,
                .what = @intFromEnum(what),
                .from = @intFromEnum(from),
                .to = @intFromEnum(to),
                .epoch = epoch,
                .reason = reason,
                .status = statusOf(status),
                .old_bytes = old_bytes,
                .at_ns = Sys.nowNs(),
            };
            s.event_count += 1;
            c.block[Block.events] = s.event_count;
        }

        pub fn takeEvent(c: *Self, out: *Event) Outcome {
            const s = &c.epochs;
            if (s.event_count == 0) return .empty;
            out.* = s.events[s.first_event % kept_events];
            s.first_event +%= 1;
            s.event_count -= 1;
            c.block[Block.events] = s.event_count;
            return .ok;
        }

        fn statusOf(outcome: Outcome) u32 {
            return @intCast(-@intFromEnum(outcome));
        }

        /// Gives every path back.
        pub fn dropPaths(c: *Self) void {
            Sys.close(c.epochs.made_fd);
            for (&c.outs) |*out| paths.dropOut(out);
            for (&c.ins) |*in| paths.dropIn(in);
            for (&c.epochs.written) |*one| one.arena.drop();
            for (&c.epochs.read) |*one| {
                one.arena.drop();
                one.ring.drop();
            }
        }
    };
}
