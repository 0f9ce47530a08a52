//! Records through the kernel: sockets and pipes. Each end has private arenas with the same layout as a ring; what travels is the bytes of
//! the records, slack included, without the PAD at the end of a lap (the receiver's arena wraps elsewhere, and puts a PAD of its own there).
//!
//!     acked ≤ sent ≤ published       the writer's positions. What the other end has not said it received stays in the arena, so that it
//!     ├─ out ─┤├ queued ┤            can be handed over by memory if the path breaks (rest.zig); a full arena is the backpressure.
//!
//! The receiver says how many bytes of whole records it has in its control region, or, for spliced pages, in a pipe that gives them back.

const std = @import("std");
const record = @import("../layout/record.zig");
const control = @import("../layout/control.zig");
const writers = @import("record_writer.zig");
const Writer = writers.Writer;
const bell = @import("bell.zig");
const faults = @import("fault.zig");
const Header = record.Header;

/// How bytes get into the kernel and out of it.
pub const Medium = enum { socket, pipe, splice };

pub fn StreamOut(comptime Sys: type) type {
    return struct {
        const Self = @This();

        writer: Writer,
        medium: Medium = .socket,
        fd: i32 = -1,
        /// Pipes: the reading end too, so that a reader that dies is no SIGPIPE.
        kept_fd: i32 = -1,
        /// Spliced pages: where the receiver gives them back.
        acks_fd: i32 = -1,
        /// What has left the arena, and what the receiver has of it (the writer's `released`); positions, and the same as bytes on the way.
        sent: u64 = 0,
        acked: u64 = 0,
        sent_bytes: u64 = 0,
        acked_bytes: u64 = 0,
        /// Where the receiver counts, and where this end says what it sent.
        received_at: *const u64 = &bell.nobody.released_even,
        taken_at: *const u64 = &bell.nobody.stream_taken_even,
        sent_to: *u64 = undefined,
        said: u64 = 0,
        /// What the receiver had taken out of the kernel when there was no room in it.
        taken_full: u64 = 0,
        /// TCP keeps a small rest back until all before it is acknowledged; up to which count it was told not to.
        keeps_back: bool = false,
        hurried: u64 = 0,
        /// What had been sent when pump() last found nothing left to send.
        rested: u64 = 0,
        /// Sending failed for good.
        broken_: bool = false,
        /// Bytes of an acknowledgement that came in part.
        partial: [8]u8 = undefined,
        partial_bytes: usize = 0,
        /// How far the pages that came back reach.
        returned: u64 = 0,

        pub fn publish(t: *Self, bytes: u32, first: Header, messages: u32, payload_bytes: u32) bool {
            t.acknowledge();
            if (!t.writer.publishBatch(bytes, first, messages, payload_bytes, true)) return false;
            _ = t.pump();
            return true;
        }
        pub fn send(t: *Self, message: []const u8) Writer.Sent {
            if (t.writer.free() < t.writer.ring_bytes / 2) t.acknowledge();
            return t.writer.send(message, t, flush);
        }
        pub fn flush(t: *Self) void {
            t.writer.publishQuietly();
            _ = t.pump();
        }
        pub fn end(t: *Self) void {
            t.writer.publishQuietly();
            t.writer.end();
            _ = t.pump();
            t.hurry();
        }
        pub fn marker(t: *Self) void {
            t.writer.marker();
            _ = t.pump();
            t.hurry();
        }
        /// Moves what is published into the kernel; how much of it is left.
        pub fn pump(t: *Self) u32 {
            const before = t.sent;
            while (t.sent < t.writer.published and !t.broken_ and t.fd >= 0) {
                const stop = t.writer.runEnd(t.sent, t.writer.published) orelse {
                    t.sent = t.writer.lapEnd(t.sent);
                    continue;
                };
                // Said before it is done: of a process that dies in between the reader waits for the end of the stream, and misses nothing.
                t.say(t.sent_bytes + (stop - t.sent));
                const count = t.push(t.writer.base + (@as(u32, @truncate(t.sent)) & t.writer.mask), stop - t.sent);
                if (count == Sys.again) {
                    t.taken_full = @atomicLoad(u64, t.taken_at, .monotonic);
                    break;
                }
                if (count <= 0) {
                    t.broken_ = true;
                    break;
                }
                const moved = @min(@as(u64, @intCast(count)), stop - t.sent);
                t.sent += moved;
                t.sent_bytes += moved;
            }
            t.say(t.sent_bytes);
            if (t.sent != before) t.writer.bell.notifyFenced(control.sleep_data);
            if (t.acks_fd >= 0 and t.sent - t.acked > t.writer.ring_bytes / 4) t.acknowledge();
            return @truncate(t.writer.published -% t.sent);
        }
        /// This end has to wait for what it sent: a rest that is kept back would make that 40 ms, the time by which an acknowledgement may
        /// be late.
        pub fn hurry(t: *Self) void {
            if (!t.keeps_back or t.hurried == t.sent_bytes) return;
            t.hurried = t.sent_bytes;
            Sys.sendKept(t.fd);
        }
        /// Pumped, and nothing is left. Who pumps after every message goes on sending, and must not lose what TCP gathers by that; who pumps again
        /// without having sent anything waits.
        pub fn rest(t: *Self) void {
            if (t.rested == t.sent_bytes) t.hurry() else t.rested = t.sent_bytes;
        }
        /// A store takes the line from the reader, which looks at it: none without a need.
        fn say(t: *Self, sent: u64) void {
            if (t.said == sent) return;
            t.said = sent;
            @atomicStore(u64, t.sent_to, sent, .release);
        }
        fn push(t: *Self, from: [*]const u8, count: u64) isize {
            return switch (t.medium) {
                .socket => Sys.send(t.fd, from, count),
                .pipe => Sys.writePipe(t.fd, from, count),
                .splice => Sys.splicePages(t.fd, from, count),
            };
        }
        pub fn pending(t: *const Self) bool {
            return t.sent != t.writer.published and !t.broken_;
        }
        pub fn broken(t: *const Self) bool {
            return t.broken_;
        }
        pub fn fault(t: *const Self) u32 {
            return t.writer.fault;
        }
        /// Looks what the receiver has; the space of it is free.
        pub fn acknowledge(t: *Self) void {
            if (t.acks_fd >= 0) t.takeBack();
            const seen = if (t.acks_fd >= 0) t.returned else @atomicLoad(u64, t.received_at, .acquire);
            if (seen < t.acked_bytes or seen > t.sent_bytes) {
                t.writer.fault = faults.cursor;
                return;
            }
            while (t.acked < t.sent) {
                const stop = t.writer.runEnd(t.acked, t.sent) orelse {
                    t.acked = t.writer.lapEnd(t.acked);
                    continue;
                };
                const step = @min(seen - t.acked_bytes, stop - t.acked);
                if (step == 0) break;
                t.acked += step;
                t.acked_bytes += step;
            }
        }
        /// Page descriptors that the receiver returned: each says how far it is.
        fn takeBack(t: *Self) void {
            var bytes: [512]u8 = undefined;
            while (true) {
                @memcpy(bytes[0..t.partial_bytes], t.partial[0..t.partial_bytes]);
                const count = Sys.readPipe(t.acks_fd, bytes[t.partial_bytes..].ptr, bytes.len - t.partial_bytes);
                if (count <= 0) return;
                const got = t.partial_bytes + @min(@as(usize, @intCast(count)), bytes.len - t.partial_bytes);
                if (got >= 8) t.returned = std.mem.readInt(u64, bytes[got / 8 * 8 - 8 ..][0..8], .little);
                t.partial_bytes = got % 8;
                @memcpy(t.partial[0..t.partial_bytes], bytes[got / 8 * 8 ..][0..t.partial_bytes]);
                if (got < bytes.len) return;
            }
        }

        pub fn stirred(t: *const Self) bool {
            if (t.pending() and @atomicLoad(u64, t.taken_at, .monotonic) != t.taken_full) return true;
            return @atomicLoad(u64, t.received_at, .monotonic) != t.acked_bytes;
        }
        /// The other end has taken everything out of the kernel that left this one.
        pub fn arrived(t: *const Self) bool {
            return @atomicLoad(u64, t.taken_at, .acquire) == t.sent_bytes;
        }
        pub fn close(t: *Self) void {
            inline for (.{ "fd", "kept_fd", "acks_fd" }) |name| {
                Sys.close(@field(t, name));
                @field(t, name) = -1;
            }
        }
    };
}
