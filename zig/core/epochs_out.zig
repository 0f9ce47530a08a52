//! Moving, the writer's part (see epochs.zig): orders, the next path made and offered, the marker, what a broken path did not deliver.

const std = @import("std");
const channels = @import("channel.zig");
const link = @import("../layout/link.zig");
const record = @import("../layout/record.zig");
const fault = @import("fault.zig");
const epochs = @import("epochs.zig");
const Block = channels.Block;
const Kind = channels.Kind;
const Outcome = channels.Outcome;
const Frame = link.Frame;
const Order = epochs.Order;
const reason_path_lost = epochs.reason_path_lost;
const repair_pause_ns = epochs.repair_pause_ns;
const frames_window_ns = epochs.frames_window_ns;

/// Offers in two seconds without a crossing.
const max_attempts = 64;
/// Paths through the kernel keep what the other end has not yet: less than this and they stand still between two wake-ups.
pub const min_stream_bytes = 256 << 10;
/// How much memory is made between two messages.
const make_bytes = 4 << 10;

pub fn EpochsOut(comptime Sys: type, comptime Self: type) type {
    return struct {
        const Out = Self.Out;
        const paths = @import("paths.zig").Paths(Sys, Self);
        const common = epochs.Epochs(Sys, Self);
        const tell = common.tell;
        const owes = common.owes;
        const unheard = common.unheard;
        const full = common.full;
        const keep = common.keep;
        const note = common.note;
        const statusOf = common.statusOf;
        const otherOut = common.otherOut;

        /// Orders the outgoing direction to go on through `kind`.
        pub fn switchTo(c: *Self, kind: Kind, ring_bytes: u32, reason: u32) Outcome {
            return switchFor(c, kind, ring_bytes, reason, false);
        }

        pub fn switchFor(c: *Self, kind: Kind, ring_bytes: u32, reason: u32, asked_for: bool) Outcome {
            if (!c.attached) return .bad_argument;
            if (c.faulted != fault.none) return .peer_fault;
            if (c.write_closed) return .closed;
            if (kind == .vmsplice_coop and c.copies) return .unsupported;
            const now = c.out.arena.size;
            const size = if (ring_bytes != 0) ring_bytes else if (c.out.kind.memory() or kind == c.out.kind) now else c.options.ring_bytes;
            if (!record.validRingBytes(size)) return .bad_argument;
            const s = &c.epochs;
            const order: Order = .{ .kind = kind, .ring_bytes = if (kind.memory()) size else @max(size, min_stream_bytes), .reason = reason, .asked = asked_for };
            // With as much memory again it is an order to have it where its reader is by now.
            const enough = ring_bytes == 0 or (order.ring_bytes == now and !paths.misplaced(c, c.out));
            const there = kind == c.out.kind and enough and !isBroken(c.out);
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
                Sys.prefer(next.arena.address.?, next.arena.size, paths.readersNode(c));
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
                paths.settled(next);
                outcome = sendOffer(c);
            }
            if (outcome == .ok) return;
            _ = giveUp(c, outcome);
            note(c, 1, .refused, c.out.kind, s.order.kind, c.out.epoch, s.order.reason, outcome, 0);
            if (s.order.asked and !c.options.windows) declined(c, s.order, outcome); // else asked() does
        }

        /// Not more in a while than the peer puts up with.
        pub fn allowed(count: *u32, since_ns: *u64, most: u32) bool {
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

        pub fn accepted(c: *Self, frame: Frame) void {
            const s = &c.epochs;
            if (s.phase != .offered or frame.attempt != s.attempt) return; // of an offer that was cancelled meanwhile
            const next = otherOut(c);
            paths.watchPeer(c, next);
            s.phase = .ready;
            c.block[Block.crossing] = 1;
            note(c, 1, .ready, c.out.kind, next.kind, c.out.epoch, s.order.reason, .ok, 0);
            if (!c.options.windows) _ = cross(c);
        }

        pub fn refused(c: *Self, frame: Frame) void {
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
        pub fn declined(c: *Self, order: Order, status: Outcome) void {
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
            own.write_node = c.out.node;
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
        pub fn crossed(c: *Self, frame: Frame) void {
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
            while (s.phase == .making) makeMore(c); // a move under way does it too
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
            var runs = t.writer.runs(t.acked, t.writer.published);
            while (runs.next()) |run| size += run.len;
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
    };
}
