//! Records over a kernel stream. Each end has private arenas with the same layout as a ring; what travels is the bytes of the records,
//! slack included, without the PAD at the end of a lap (the receiver's arena wraps elsewhere, and puts a PAD of its own there).

const std = @import("std");
const record = @import("../layout/record.zig");
const Writer = @import("record_writer.zig").Writer;
const Checker = @import("record_reader.zig").Checker;
const bell = @import("bell.zig");
const fault = @import("fault.zig");
const Header = record.Header;

pub const Pumped = enum { done, blocked, hung_up };

/// Moves what is published from the writer's arena into the socket. `sent` is its `released`. `moved` says whether anything went.
pub fn pump(w: *Writer, sent: *u64, socket: i32, comptime Sys: type, moved: *bool) Pumped {
    while (sent.* < w.published) {
        const lap_end = (sent.* / w.ring_bytes + 1) * w.ring_bytes;
        const pad = w.pads[sent.* / w.ring_bytes & 1];
        if (pad == sent.*) {
            sent.* = lap_end;
            continue;
        }
        const stop = @min(w.published, if (pad > sent.* and pad < lap_end) pad else lap_end);
        const offset = @as(u32, @truncate(sent.*)) & w.mask;
        const count = Sys.send(socket, w.base + offset, stop - sent.*);
        if (count == Sys.again) return .blocked;
        if (count <= 0) return .hung_up;
        sent.* += @min(@as(u64, @intCast(count)), stop - sent.*);
        moved.* = true;
    }
    return .done;
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
    messages: u64 = 0,
    bytes: u64 = 0,
    checker: Checker,
    bell: *bell.Bell,
    ended: bool = false,
    /// The socket said that nothing more will come.
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
        while (!r.ended and r.fault == fault.none) {
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
            if (h.kind == .end) {
                r.ended = true;
                break;
            }
            const lone = h.kind == .pad and r.scanned == r.consumed;
            r.scanned += h.bytes();
            if (lone) {
                r.consumed = r.scanned;
                r.offered = r.scanned;
            }
        }
        return r.scanned != r.offered;
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

    /// Receives once, as much as fits. True: something came (or the other side hung up).
    pub fn fill(r: *StreamReader, socket: i32, comptime Sys: type) bool {
        r.starved = false;
        if (r.hung_up or r.ended or r.fault != fault.none) return false;
        // room up to the end of the lap that `filled` is in, and never over lent records
        const offset = r.offsetOf(r.filled);
        // no room, or the lap is full of a record that has to wrap first
        const room = @min(r.ring_bytes - offset, r.consumed + r.ring_bytes - r.filled);
        r.starved = room == 0 or (offset == 0 and r.filled != r.scanned);
        if (r.starved) return false;
        const count = Sys.receive(socket, r.arena + offset, room);
        if (count == Sys.again) return false;
        if (count <= 0) {
            r.hung_up = true;
            return true;
        }
        r.filled += @min(@as(u64, @intCast(count)), room);
        return true;
    }

    fn fail(r: *StreamReader, what: u32) bool {
        r.fault = what;
        return false;
    }

    pub fn peek(r: *StreamReader) ?Header {
        if (!r.scan()) return null;
        return r.headerAt(r.offered).*;
    }

    pub fn payload(r: *const StreamReader, h: Header) []const u8 {
        return (r.arena + r.offsetOf(r.offered) + record.header_bytes)[0..h.size];
    }

    pub fn take(r: *StreamReader, h: Header) void {
        r.offered += h.bytes();
    }

    pub fn release(r: *StreamReader) void {
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
        own.released = r.consumed;
    }
};
