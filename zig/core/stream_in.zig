//! Records through the kernel, the receiver (see stream.zig): bytes go into a private arena, whole records of it are handed out.

const std = @import("std");
const record = @import("../layout/record.zig");
const control = @import("../layout/control.zig");
const bell = @import("bell.zig");
const fault = @import("fault.zig");
const transports = @import("transports.zig");
const Medium = @import("stream.zig").Medium;
const StreamReader = @import("stream_reader.zig").StreamReader;
const Header = record.Header;

/// A reader receives at most this much in one look before what came is handed out.
const fills_at_once = 4;
/// A writer that sleeps is woken when a quarter of an arena came (counted twice, as bytes and as records), or all there was.
const ring_part = 2;
/// How much of a pipe is read with one call.
const pipe_step = 16 << 10;
/// Of a pipe, which keeps two of them for what comes next: more on the way at once are allocated anew, and cost more than all else.
const page_bytes = 4096;
/// Looks at a pipe that find less than half a page each time make a stream; then the reader leaves it alone for so long.
const enough_scraps = 8;
const gather_ns = 350;

pub fn StreamIn(comptime Sys: type) type {
    return struct {
        const Self = @This();

        reader: StreamReader,
        medium: Medium = .socket,
        fd: i32 = -1,
        /// Pipes: nobody else can make `fd` a blocking one.
        own_fd: bool = false,
        acks_fd: i32 = -1,
        /// Looks in a row that found something, but little.
        scraps: u8 = 0,
        /// What this end last said it has, and where it says so.
        told: u64 = 0,
        /// All that it said when it last rang.
        rung: u64 = 0,
        received_to: *u64 = undefined,
        /// Where this end counts what it took out of the kernel.
        taken_to: *u64 = undefined,
        /// The other end's count of what it sent.
        sent_at: *const u64 = &bell.nobody.stream_sent_even,
        /// What the path could not deliver any more: memory that the writer handed over. It is read, not mapped: for want of memory it
        /// may not be lost.
        rest_fd: i32 = -1,
        rest_bytes: u32 = 0,
        rest_at: u32 = 0,

        pub fn look(t: *Self) bool {
            if (t.reader.scan()) return true;
            const before = t.reader.filled_bytes;
            if (t.scraps == enough_scraps) lookAway();
            defer t.weigh(t.reader.filled_bytes - before);
            for (0..fills_at_once) |_| {
                if (!t.fill()) break;
                if (t.reader.scan() or t.reader.hung_up) break;
            }
            t.account();
            if (t.news() -% t.rung >= t.reader.ring_bytes / ring_part) t.ring();
            return t.reader.scan();
        }
        /// Looks that keep finding a little of a pipe's stream empty it every time: its writer then finds no page begun, and a reader in its way.
        fn weigh(t: *Self, came: u64) void {
            if (t.medium != .pipe) return;
            const few: u64 = if (t.scraps == enough_scraps) page_bytes else page_bytes / 2;
            t.scraps = if (came != 0 and came < few) @min(t.scraps + 1, enough_scraps) else 0;
        }
        noinline fn lookAway() void {
            const until = Sys.nowNs() +% gather_ns;
            while (Sys.nowNs() < until) Sys.relax();
        }
        /// What the writer may wait for: room in its arena, and in the kernel, which also part of a record makes.
        fn news(t: *const Self) u64 {
            return t.told +% t.taken_to.*;
        }
        /// Who was asleep has something to do then: a wake-up costs more than a record.
        fn ring(t: *Self) void {
            if (t.rung == t.news()) return;
            t.rung = t.news();
            t.reader.bell.notifyFenced(control.sleep_space);
        }
        fn countTaken(t: *Self) void {
            if (t.taken_to.* == t.reader.filled_bytes) return;
            @atomicStore(u64, t.taken_to, t.reader.filled_bytes, .release);
        }
        /// Receives once, as much as fits. True: something came, or the path ended.
        fn fill(t: *Self) bool {
            const r = &t.reader;
            if (t.rest_at < t.rest_bytes) {
                const room = r.room();
                if (room.len == 0) return false;
                const count = Sys.readAt(t.rest_fd, room.ptr, @min(room.len, t.rest_bytes - t.rest_at), t.rest_at);
                if (count <= 0) return false;
                t.rest_at += @intCast(count);
                r.filled_by(@intCast(count));
                return true;
            }
            if (t.fd < 0 or r.hung_up) return false;
            const room = r.room();
            if (room.len == 0) return false;
            const count = switch (t.medium) {
                .socket => Sys.receive(t.fd, room.ptr, room.len),
                .pipe, .splice => t.readPipe(room),
            };
            if (count == Sys.again) return false;
            if (count <= 0) r.hung_up = true else r.filled_by(@min(@as(usize, @intCast(count)), room.len));
            return true;
        }
        /// Step by step: who reads a pipe keeps its writer out of it meanwhile.
        fn readPipe(t: *Self, room: []u8) isize {
            var got: usize = 0;
            while (got < room.len) {
                const step = @min(room.len - got, pipe_step);
                const count = if (t.own_fd) Sys.readOwnPipe(t.fd, room.ptr + got, step) else Sys.readPipe(t.fd, room.ptr + got, step);
                if (count <= 0) return if (got == 0) count else @intCast(got);
                got += @min(@as(usize, @intCast(count)), step);
                if (count < step) break;
            }
            return @intCast(got);
        }
        /// The writer learns what is here.
        pub fn tell(t: *Self) void {
            t.account();
            t.ring();
        }
        /// Of what left the writer's arena only whole records count.
        fn account(t: *Self) void {
            t.countTaken();
            if (t.told == t.reader.whole_bytes) return;
            if (t.acks_fd >= 0) {
                var page: [8]u8 = undefined;
                std.mem.writeInt(u64, &page, t.reader.whole_bytes, .little);
                if (Sys.writePeersPipe(t.acks_fd, &page, page.len) != page.len) return; // full: the next look tries again
            }
            t.told = t.reader.whole_bytes;
            @atomicStore(u64, t.received_to, t.told, .release);
        }
        pub fn offer_(t: *Self) transports.Window {
            return transports.offer(&t.reader);
        }
        pub inline fn peek(t: *Self) ?Header {
            if (t.reader.offered == t.reader.scanned) {
                @branchHint(.unlikely);
                if (!t.look()) {
                    t.reader.idle();
                    return null;
                }
            }
            return t.reader.headerAt(t.reader.offered).*;
        }
        pub inline fn payload(t: *Self, h: Header) []const u8 {
            return t.reader.payload(h);
        }
        pub inline fn drop(t: *Self, h: Header) void {
            t.reader.take(h);
            t.reader.release();
        }
        pub fn consume(t: *Self, bytes: u32, messages: u32, payload_bytes: u32) bool {
            return t.reader.consume(bytes, messages, payload_bytes);
        }
        pub fn idle(t: *Self) void {
            t.tell();
            t.reader.idle();
        }
        pub fn delivered(t: *Self, size: u32) void {
            t.reader.messages +%= 1;
            t.reader.bytes +%= size;
        }
        pub fn fault(t: *const Self) u32 {
            return t.reader.fault;
        }
        pub fn ended(t: *const Self) bool {
            return t.reader.ended;
        }
        pub fn atMarker(t: *const Self) bool {
            return t.reader.at_marker and t.reader.offered == t.reader.scanned;
        }
        /// The path broke, and nothing else brings what it did not.
        pub fn hungUp(t: *const Self) bool {
            return t.reader.hung_up and t.rest_at == t.rest_bytes;
        }
        pub fn starved(t: *const Self) bool {
            return t.reader.starved;
        }
        pub fn stirred(t: *const Self) bool {
            return t.rest_at < t.rest_bytes or t.reader.hung_up or @atomicLoad(u64, t.sent_at, .monotonic) != t.reader.filled_bytes;
        }
        /// The other end sent bytes that are not here yet: nobody will ring for them again.
        pub fn underWay(t: *const Self) bool {
            return t.fd >= 0 and !t.reader.hung_up and !t.reader.starved and @atomicLoad(u64, t.sent_at, .acquire) > t.reader.filled_bytes;
        }
        pub fn close(t: *Self) void {
            inline for (.{ "fd", "acks_fd", "rest_fd" }) |name| {
                Sys.close(@field(t, name));
                @field(t, name) = -1;
            }
        }
    };
}
