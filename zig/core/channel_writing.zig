//! The writing half of a channel: space, publishing, sending, half-close.

const std = @import("std");
const control = @import("../layout/control.zig");
const fault = @import("fault.zig");
const channels = @import("channel.zig");
const Outcome = channels.Outcome;
const Block = channels.Block;

pub fn Writing(comptime Self: type) type {
    return struct {
        fn writeState(c: *Self) ?Outcome {
            if (c.faulted != fault.none) return .peer_fault;
            if (c.write_closed) return .closed;
            return null;
        }

        /// Nobody is left to read what would be written.
        fn unheard(c: *Self) ?Outcome {
            if (broken(c)) c.repair();
            const outcome: Outcome = switch (c.peerGone()) {
                .no, .write_closed => if (c.faulted != fault.none) .peer_fault else return null,
                .closed => .ended,
                .faulted => c.accused(),
                .dead => .peer_dead,
            };
            if (outcome == .peer_dead) c.block[Block.peer_state] = channels.peer_state_dead;
            return outcome;
        }

        /// A path is gone that still had something to deliver.
        fn broken(c: *Self) bool {
            if (c.epochs.draining()) |old| if (Self.isBroken(old) and !old.rest_sent) return true;
            return Self.isBroken(c.out) and !c.out.rest_sent;
        }

        /// An order may have come (one load, of a line that changes hardly ever), or the path before still has something to deliver.
        inline fn heed(c: *Self) void {
            if (c.bell.peer.news() >> 32 != c.calm >> 32) c.attend();
            if (c.epochs.old) |old| pumpOld(old);
            if (c.epochs.phase == .making) c.makeMore();
        }

        noinline fn pumpOld(old: *Self.Out) void {
            switch (old.transport) {
                inline else => |*t| if (!old.rest_sent and t.pending()) {
                    _ = t.pump();
                },
            }
        }

        /// Bytes free behind what is published, fresh; or a negative Outcome.
        pub fn space(c: *Self) i32 {
            if (writeState(c)) |bad| return @intFromEnum(bad);
            c.attend();
            if (c.pending()) _ = pumpAll(c);
            switch (c.out.transport) {
                inline else => |*t| t.acknowledge(),
            }
            if (unheard(c)) |bad| return @intFromEnum(bad);
            const w = c.writer();
            if (!w.refresh()) {
                c.fail(w.fault);
                return @intFromEnum(Outcome.peer_fault);
            }
            w.shortage = w.free();
            c.block[Block.free] = w.shortage;
            return @intCast(w.shortage);
        }

        /// space(), of a heap in another stretch of at least `needed` bytes if the one in use has less. Nothing may be laid out.
        pub fn room(c: *Self, needed: u32) i32 {
            const free = space(c);
            const w = c.writer();
            if (free >= 0 and @as(u32, @intCast(free)) < needed) _ = w.more(needed);
            c.block[Block.write_offset] = @as(u32, @truncate(w.position)) & w.mask;
            c.block[Block.free] = w.free();
            return if (free < 0) free else @intCast(w.free());
        }

        pub fn publish(c: *Self, bytes: u32, word0: u32, word1: u32, messages: u32, payload_bytes: u32) Outcome {
            if (writeState(c)) |bad| return bad;
            heed(c);
            const w = c.writer();
            const done = switch (c.out.transport) {
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
            if (writeState(c)) |bad| return bad;
            heed(c);
            const sent = switch (c.out.transport) {
                inline else => |*t| t.send(message),
            };
            const w = c.writer();
            c.block[Block.free] = w.free();
            c.block[Block.write_offset] = @as(u32, @truncate(w.position)) & w.mask;
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
                    return unheard(c) orelse .no_space;
                },
            }
        }

        /// Is there more room than when it last ran short, or an end that space() would report?
        pub fn writable(c: *Self) bool {
            if (c.faulted != fault.none) return true;
            c.attend();
            const waiting = pumpAll(c) != 0;
            switch (c.out.transport) {
                inline else => |*t| t.acknowledge(),
            }
            if (unheard(c) != null) return true;
            // a path that is full: only progress counts, else whoever waits for it would be woken for nothing
            const more = if (waiting) !c.writer().refresh() or c.writer().free() > c.writer().shortage else c.write_closed or c.writer().writable();
            if (!more) hurry(c);
            return more;
        }

        /// This end waits for room or is about to sleep, so it adds nothing for now: what TCP keeps back shall go.
        pub fn hurry(c: *Self) void {
            switch (c.out.transport) {
                .stream => |*t| t.hurry(),
                .ring, .heap => {},
            }
        }

        /// Moves what waits into the kernel, of the path before too; how many bytes are left.
        fn pumpAll(c: *Self) u32 {
            var queued: u32 = 0;
            if (c.epochs.draining()) |old| switch (old.transport) {
                inline else => |*t| if (!old.rest_sent) {
                    queued +|= t.pump();
                },
            };
            switch (c.out.transport) {
                inline else => |*t| if (!c.out.rest_sent) {
                    queued +|= t.pump();
                },
            }
            return queued;
        }

        /// Bytes that the kernel has not taken yet.
        pub fn pump(c: *Self) i32 {
            const queued = pumpAll(c);
            if (queued != 0 or broken(c)) if (unheard(c)) |bad| return @intFromEnum(bad); // nobody will ever take them
            if (queued == 0) {
                switch (c.out.transport) {
                    .stream => |*t| t.rest(),
                    .ring, .heap => {},
                }
                return 0;
            }
            if (c.writer().refresh()) c.writer().shortage = c.writer().free();
            return @intCast(@min(queued, std.math.maxInt(i32)));
        }

        pub fn closeWrite(c: *Self) Outcome {
            if (c.faulted != fault.none) return .peer_fault;
            if (c.write_closed) return .closed;
            if (c.writer().sending != 0) return .bad_argument; // in the middle of a message
            c.write_closed = true;
            switch (c.out.transport) {
                inline else => |*t| t.end(),
            }
            c.repair();
            @atomicStore(u32, &c.bell.own.state, @intFromEnum(control.State.write_closed), .release);
            c.bell.notifyAll();
            return .ok;
        }
    };
}
