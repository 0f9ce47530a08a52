//! Moving, the reader's part (see epochs.zig): asking, offers taken in, crossing, and what to do about a path that broke.

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

/// Asks in two seconds without a crossing.
const max_asks = 32;

pub fn EpochsIn(comptime Sys: type, comptime Self: type) type {
    return struct {
        const Out = Self.Out;
        const paths = @import("paths.zig").Paths(Sys, Self);
        const writer = @import("epochs_out.zig").EpochsOut(Sys, Self);
        const switchFor = writer.switchFor;
        const allowed = writer.allowed;
        const declined = writer.declined;
        const repair = writer.repair;
        const common = epochs.Epochs(Sys, Self);
        const tell = common.tell;
        const answer = common.answer;
        const full = common.full;
        const keep = common.keep;
        const note = common.note;
        const statusOf = common.statusOf;
        const otherIn = common.otherIn;

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
            c.epochs.asked_bytes = @max(c.epochs.asked_bytes, ring_bytes);
            return .ok;
        }

        pub fn asked(c: *Self, frame: Frame) void {
            const kind = std.enums.fromInt(Kind, frame.transport) orelse return c.fail(fault.state);
            const outcome = switchFor(c, kind, frame.ring_bytes, frame.reason, true);
            if (outcome == .ok or outcome == .empty) return;
            declined(c, .{ .kind = kind, .ring_bytes = 0, .reason = frame.reason }, outcome);
        }

        pub fn offered(c: *Self, frame: Frame, fds: []i32) void {
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

        pub fn cancelled(c: *Self, frame: Frame) void {
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
            s.asks = 0;
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

        pub fn marked(c: *Self, frame: Frame) void {
            if (!c.epochs.prepared or frame.attempt != c.epochs.prepared_attempt) return;
            c.block[Block.coming] = 1;
            c.epochs.called = c.options.windows;
        }

        /// The path broke and its writer may not know yet. False: nobody is there to send the rest.
        pub fn reportLoss(c: *Self) bool {
            const s = &c.epochs;
            if (c.dead) return false;
            if (s.loss_said == c.in.epoch +% 1) return true;
            if (tell(c, .{ .kind = .lost, .attempt = c.in.epoch }, &.{})) s.loss_said = c.in.epoch +% 1; // else the next look tries again
            return !c.dead;
        }

        pub fn lost(c: *Self, frame: Frame) void {
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
        pub fn restCame(c: *Self, frame: Frame, fds: []i32) void {
            const in = if (frame.attempt == c.in.epoch) c.in else if (c.epochs.prepared) otherIn(c) else return;
            if (frame.attempt != in.epoch) return;
            const t = switch (in.transport) {
                .ring, .heap => return,
                .stream => |*one| one,
            };
            if (t.rest_bytes != 0) return;
            const size = frame.ring_bytes;
            if (fds.len != 1 or size == 0 or size > in.arena.size or !Sys.isRegion(fds[0], size, Sys.seals_read_only)) return c.fail(fault.state);
            const had = t.reader.filled_bytes;
            if (frame.first > had or had - frame.first > size) return c.fail(fault.cursor);
            t.rest_fd = fds[0];
            fds[0] = -1;
            t.rest_bytes = size;
            t.rest_at = @intCast(had - frame.first);
            t.reader.hung_up = true;
        }
    };
}
