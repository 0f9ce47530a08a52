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

    pub fn like(order: Order, other: Order) bool {
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
/// Frames of a peer in one second without a crossing: more is no honest peer. Each end sends less than that.
const max_frames = 256;
pub const frames_window_ns = std.time.ns_per_s;
/// A broken path that could not be replaced, for want of memory here or there, is tried again after this time.
pub const repair_pause_ns = 15 * std.time.ns_per_ms;

pub fn State(comptime Self: type) type {
    return struct {
        const Retired = struct {
            epoch: u32 = 0,
            arena: Self.Mapping = .{},
            ring: Self.Mapping = .{},

            fn isFree(one: *const Retired) bool {
                return one.arena.address == null and one.ring.address == null;
            }
        };

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
        /// The largest memory that it was asked for.
        asked_bytes: u32 = 0,
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
        /// Something came about that the program has a part in: a native wait ends for it, once.
        called: bool = false,

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

        pub fn otherOut(c: *Self) *Out {
            return if (c.out == &c.outs[0]) &c.outs[1] else &c.outs[0];
        }
        pub fn otherIn(c: *Self) *In {
            return if (c.in == &c.ins[0]) &c.ins[1] else &c.ins[0];
        }
        const writer = @import("epochs_out.zig").EpochsOut(Sys, Self);
        const reader = @import("epochs_in.zig").EpochsIn(Sys, Self);
        pub const switchTo = writer.switchTo;
        pub const makeMore = writer.makeMore;
        const accepted = writer.accepted;
        const refused = writer.refused;
        pub const cross = writer.cross;
        const crossed = writer.crossed;
        pub const repair = writer.repair;
        pub const owesRepair = writer.owesRepair;
        pub const isBroken = writer.isBroken;
        pub const ask = reader.ask;
        const asked = reader.asked;
        const offered = reader.offered;
        const cancelled = reader.cancelled;
        pub const crossIn = reader.crossIn;
        const marked = reader.marked;
        pub const reportLoss = reader.reportLoss;
        const lost = reader.lost;
        const restCame = reader.restCame;

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

        pub fn tell(c: *Self, frame: Frame, fds: []const i32) bool {
            const sent = Sys.sendPacket(c.link, std.mem.asBytes(&frame), fds);
            if (sent == @sizeOf(Frame)) {
                c.bell.order();
                return true;
            }
            if (sent != Sys.again) c.doorbellHungUp();
            return false;
        }

        pub fn owes(s: anytype) bool {
            return s.owed[0] != null or s.owed[1] != null;
        }

        noinline fn payOwed(c: *Self) void {
            for (&c.epochs.owed) |*one| if (one.*) |frame| {
                if (tell(c, frame, &.{}) or unheard(c)) one.* = null;
            };
        }

        pub fn unheard(c: *Self) bool {
            return switch (c.peerGone()) {
                .no, .write_closed => false,
                .closed, .faulted, .dead => true,
            };
        }

        /// What the peer waits for: said as soon as there is room. A peer that has gone waits no longer, and what it wrote before can still
        /// be read.
        pub fn answer(c: *Self, frame: Frame) void {
            const said = tell(c, frame, &.{}) or unheard(c);
            c.epochs.owed[if (frame.kind == .crossed) 0 else 1] = if (said) null else frame;
        }

        // ---- what is kept ----

        pub fn full(list: anytype) bool {
            for (list) |*one| if (one.isFree()) return false;
            return true;
        }

        pub fn keep(list: anytype, epoch: u32, arena: *Self.Mapping, ring: ?*Self.Mapping) void {
            for (list) |*one| {
                if (!one.isFree()) continue;
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
                if (one.epoch != epoch or one.isFree()) continue;
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

        pub fn note(c: *Self, direction: u32, what: What, from: Kind, to: Kind, epoch: u32, reason: u32, status: Outcome, old_bytes: u32) void {
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
            s.called = c.options.windows;
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

        pub fn statusOf(outcome: Outcome) u32 {
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
