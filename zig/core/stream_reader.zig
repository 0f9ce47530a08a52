//! What the receiver of a stream has of it (see stream_in.zig): bytes that came into its arena, and the whole records among them. No system calls.

const std = @import("std");
const record = @import("../layout/record.zig");
const control = @import("../layout/control.zig");
const Checker = @import("record_reader.zig").Checker;
const bell = @import("bell.zig");
const fault = @import("fault.zig");
const transports = @import("transports.zig");
const Header = record.Header;

/// Positions as in record_reader.zig, plus `filled`, how far the arena holds received bytes.
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

    pub inline fn headerAt(r: *const StreamReader, position: u64) *align(8) Header {
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
