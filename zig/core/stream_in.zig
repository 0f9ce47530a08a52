//! Records through the kernel, the receiver (see stream.zig): bytes go into a private arena, whole records of it are handed out.

const std = @import("std");
const record = @import("../layout/record.zig");
const control = @import("../layout/control.zig");
const Checker = @import("record_reader.zig").Checker;
const bell = @import("bell.zig");
const fault = @import("fault.zig");
const transports = @import("transports.zig");
const Medium = @import("stream.zig").Medium;
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

/// The reading half of a stream: positions as in record_reader.zig, plus `filled`, how far the arena holds received bytes.
pub const StreamReader = struct {
    arena: [*]align(4096) u8,
    ring_bytes: u32,
    mask: u32,
    consumed: u64 = 0,
    offered: u64 = 0,
    scanned: u64 = 0,
    filled: u64 = 0,
    /// Bytes received, and those of them in whole records.
    filled_bytes: u64 = 0,
    whole_bytes: u64 = 0,
    messages: u64 = 0,
    bytes: u64 = 0,
    checker: Checker,
    bell: *bell.Bell,
    ended: bool = false,
    at_marker: bool = false,
    /// The kernel said that nothing more will come.
    hung_up: bool = false,
    /// There was no room to receive into: lent records are in the way.
    starved: bool = false,
    fault: u32 = fault.none,

    pub fn init(arena: [*]align(4096) u8, ring_bytes: u32, max_message: u32, a_bell: *bell.Bell) StreamReader {
        return .{
            .arena = arena,
            .ring_bytes = ring_bytes,
            .mask = ring_bytes - 1,
            // any record fits behind or before the others once they are consumed
            .checker = .{ .max_message = max_message, .max_length = ring_bytes / 2 },
            .bell = a_bell,
        };
    }

    inline fn offsetOf(r: *const StreamReader, position: u64) u32 {
        return @as(u32, @truncate(position)) & r.mask;
    }

    inline fn headerAt(r: *const StreamReader, position: u64) *align(8) Header {
        return @ptrCast(@alignCast(r.arena + r.offsetOf(position)));
    }

    /// Extends the new window by whole records that have arrived; no system calls.
    pub fn scan(r: *StreamReader) bool {
        while (!r.ended and !r.at_marker and r.fault == fault.none) {
            const offset = r.offsetOf(r.scanned);
            if (offset == 0 and r.scanned != r.offered) break;
            if (r.filled - r.scanned < record.header_bytes) break;
            const h = r.headerAt(r.scanned).*;
            if (!h.published() or h.bytes() == 0) return r.fail(fault.length);
            const rest = r.ring_bytes - offset;
            if (h.bytes() > r.filled - r.scanned) {
                if (h.bytes() > r.checker.max_length) return r.fail(fault.length);
                if (h.bytes() > rest and r.wrap(rest)) continue;
                break;
            }
            const wrong = r.checker.check(h, rest);
            if (wrong != fault.none) return r.fail(wrong);
            if (h.kind == .first) {
                const total: *const u32 = @ptrCast(@alignCast(r.arena + offset + record.header_bytes));
                const bad = r.checker.begin(total.*, h.size);
                if (bad != fault.none) return r.fail(bad);
            }
            r.whole_bytes += h.bytes();
            if (h.kind == .end or h.kind == .marker) {
                if (h.kind == .end) r.ended = true else r.at_marker = true;
                break;
            }
            const lone = h.kind == .pad and r.scanned == r.consumed;
            r.scanned += h.bytes();
            if (h.kind == .message) r.scanAlike(h);
            if (lone) {
                r.consumed = r.scanned;
                r.offered = r.scanned;
            }
        }
        return r.scanned != r.offered;
    }

    /// Whole records with the header that was just found right, up to the end of the lap: what is equal is right as well.
    inline fn scanAlike(r: *StreamReader, header: Header) void {
        const known: u64 = @bitCast(header);
        const length = header.bytes();
        const stop = @min(r.filled, ((r.scanned - 1) | r.mask) + 1);
        var at = r.scanned;
        while (stop - at >= length and @as(u64, @bitCast(r.headerAt(at).*)) == known) at += length;
        r.whole_bytes += at - r.scanned;
        r.scanned = at;
    }

    /// The record at `scanned` does not fit before the end of the arena: what has come of it moves to the start, a PAD takes its place.
    /// False while lent records are in the way.
    fn wrap(r: *StreamReader, rest: u32) bool {
        const partial: u32 = @intCast(r.filled - r.scanned);
        const lap_end = r.scanned + rest;
        if (lap_end + partial - r.consumed > r.ring_bytes) return false;
        const at = r.offsetOf(r.scanned);
        @memmove(r.arena[0..partial], (r.arena + at)[0..partial]);
        r.headerAt(r.scanned).* = Header.of(.pad, 0, rest);
        if (r.consumed == r.scanned) {
            r.consumed = lap_end;
            r.offered = lap_end;
        }
        r.scanned = lap_end;
        r.filled = lap_end + partial;
        return true;
    }

    /// Where received bytes go now: up to the end of the lap that `filled` is in, and never over lent records. Empty: no room, or nothing
    /// more is wanted.
    pub fn room(r: *StreamReader) []u8 {
        r.starved = false;
        if (r.ended or r.at_marker or r.fault != fault.none) return &.{};
        if (r.consumed == r.filled) r.restart();
        const offset = r.offsetOf(r.filled);
        const free = @min(r.ring_bytes - offset, r.consumed + r.ring_bytes - r.filled);
        // no room, or the lap is full of a record that has to wrap first
        r.starved = free == 0 or (offset == 0 and r.filled != r.scanned);
        if (r.starved) return &.{};
        return (r.arena + offset)[0..free];
    }

    /// Nothing is held: goes on at the start of the arena, which is in the cache more likely than what comes next.
    fn restart(r: *StreamReader) void {
        const start = r.filled + (r.ring_bytes - r.offsetOf(r.filled) & r.mask);
        inline for (.{ "consumed", "offered", "scanned", "filled" }) |name| @field(r, name) = start;
    }

    pub fn filled_by(r: *StreamReader, count: usize) void {
        r.filled += count;
        r.filled_bytes += count;
    }

    fn fail(r: *StreamReader, what: u32) bool {
        r.fault = what;
        return false;
    }

    pub inline fn payload(r: *const StreamReader, h: Header) []const u8 {
        return (r.arena + r.offsetOf(r.offered) + record.header_bytes)[0..h.size];
    }

    pub inline fn take(r: *StreamReader, h: Header) void {
        r.offered += h.bytes();
    }

    pub inline fn release(r: *StreamReader) void {
        r.consumed = r.offered;
    }

    pub fn consume(r: *StreamReader, bytes: u32, messages: u32, payload_bytes: u32) bool {
        if (bytes % record.alignment != 0 or bytes > r.offered - r.consumed) return false;
        r.consumed += bytes;
        r.messages +%= messages;
        r.bytes +%= payload_bytes;
        if (r.consumed == r.scanned) r.idle();
        return true;
    }

    /// Figures for observers.
    pub fn idle(r: *StreamReader) void {
        const own = r.bell.own;
        own.messages_delivered = r.messages;
        own.bytes_delivered = r.bytes;
    }
};

test "equal records are taken as one by one, whole, up to the end of the lap, and nothing wrong with them" {
    const ring = 4096;
    var arena: [ring]u8 align(4096) = undefined;
    var controls: [2]control.Control align(4096) = @bitCast(@as([2 * control.bytes]u8, @splat(0)));
    const calls: bell.Calls = .{ .wake = undefined, .ring = undefined };
    var a_bell: bell.Bell = .{ .own = &controls[0], .peer = &controls[1], .fence = false, .doorbell = -1, .calls = &calls };
    const equal = Header.of(.message, 60, 72);
    for ([_]Header{ .of(.message, 80, 72), .of(.message, 2000, 2008), .of(.more, 60, 72), equal }) |last| {
        var random = std.Random.DefaultPrng.init(7);
        var r: StreamReader = .init(&arena, ring, 1000, &a_bell);
        var sent: u64 = 0;
        while (r.fault == fault.none and sent < 3 * ring) {
            const room = r.room();
            const part = @min(room.len, random.random().uintAtMost(usize, 500));
            for (room[0..part]) |*byte| {
                const header: u64 = @bitCast(if (sent / 72 < 100) equal else last);
                byte.* = if (sent % 72 < 8) @truncate(header >> @intCast(sent % 72 * 8)) else 1;
                sent += 1;
            }
            r.filled_by(part);
            while (r.scan()) {
                try std.testing.expect(r.scanned <= r.filled and r.offsetOf(r.offered) + (r.scanned - r.offered) <= ring);
                const window = transports.offer(&r);
                try std.testing.expect(r.consume(window.limit - window.offset, 1, 0));
            }
            try std.testing.expect(r.whole_bytes <= r.filled_bytes and r.whole_bytes + 2008 + 500 > r.filled_bytes);
        }
        if (last == equal) {
            try std.testing.expectEqual(sent / 72 * 72, r.whole_bytes);
        } else {
            try std.testing.expect(r.fault != fault.none);
            try std.testing.expectEqual(100 * 72, r.whole_bytes);
        }
    }
}
