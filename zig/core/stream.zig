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
const Checker = @import("record_reader.zig").Checker;
const bell = @import("bell.zig");
const fault = @import("fault.zig");
const Header = record.Header;

/// How bytes get into the kernel and out of it.
pub const Medium = enum { socket, pipe, splice };

/// A reader receives at most this much in one look before what came is handed out.
const fills_at_once = 4;

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
        }
        pub fn marker(t: *Self) void {
            t.writer.marker();
            _ = t.pump();
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
                @atomicStore(u64, t.sent_to, t.sent_bytes + (stop - t.sent), .release);
                const count = t.push(t.writer.base + (@as(u32, @truncate(t.sent)) & t.writer.mask), stop - t.sent);
                if (count == Sys.again) break;
                if (count <= 0) {
                    t.broken_ = true;
                    break;
                }
                const moved = @min(@as(u64, @intCast(count)), stop - t.sent);
                t.sent += moved;
                t.sent_bytes += moved;
                @atomicStore(u64, t.sent_to, t.sent_bytes, .release);
            }
            @atomicStore(u64, t.sent_to, t.sent_bytes, .release);
            if (t.sent != before) {
                t.writer.bell.notify(control.sleep_data);
            }
            if (t.acks_fd >= 0 and t.sent - t.acked > t.writer.ring_bytes / 4) t.acknowledge();
            return @truncate(t.writer.published -% t.sent);
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

const faults = fault;

pub fn StreamIn(comptime Sys: type) type {
    return struct {
        const Self = @This();

        reader: StreamReader,
        medium: Medium = .socket,
        fd: i32 = -1,
        acks_fd: i32 = -1,
        /// What this end last said it has, and where it says so.
        told: u64 = 0,
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
            for (0..fills_at_once) |_| {
                if (!t.fill()) break;
                if (t.reader.scan() or t.reader.hung_up) break;
            }
            t.tell();
            t.roomMade();
            return t.reader.scan();
        }
        /// Also part of a record makes room in the kernel, which the writer may wait for.
        fn roomMade(t: *Self) void {
            if (t.taken_to.* == t.reader.filled_bytes) return;
            @atomicStore(u64, t.taken_to, t.reader.filled_bytes, .release);
            t.reader.bell.notify(control.sleep_space);
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
                .pipe, .splice => Sys.readPipe(t.fd, room.ptr, room.len),
            };
            if (count == Sys.again) return false;
            if (count <= 0) r.hung_up = true else r.filled_by(@min(@as(usize, @intCast(count)), room.len));
            return true;
        }
        /// The writer learns what is here: whole records only.
        pub fn tell(t: *Self) void {
            if (t.told == t.reader.whole_bytes) return;
            if (t.acks_fd >= 0) {
                var page: [8]u8 = undefined;
                std.mem.writeInt(u64, &page, t.reader.whole_bytes, .little);
                if (Sys.writePeersPipe(t.acks_fd, &page, page.len) != page.len) return; // full: the next look tries again
            }
            t.told = t.reader.whole_bytes;
            @atomicStore(u64, t.received_to, t.told, .release);
            t.reader.bell.notify(control.sleep_space);
        }
        pub fn offer_(t: *Self) @import("transports.zig").Window {
            return @import("transports.zig").offer(&t.reader);
        }
        pub fn peek(t: *Self) ?Header {
            if (!t.look()) {
                t.reader.idle();
                return null;
            }
            return t.reader.peek();
        }
        pub fn payload(t: *Self, h: Header) []const u8 {
            return t.reader.payload(h);
        }
        pub fn drop(t: *Self, h: Header) void {
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

    /// Where received bytes go now: up to the end of the lap that `filled` is in, and never over lent records. Empty: no room, or nothing
    /// more is wanted.
    pub fn room(r: *StreamReader) []u8 {
        r.starved = false;
        if (r.ended or r.at_marker or r.fault != fault.none) return &.{};
        const offset = r.offsetOf(r.filled);
        const free = @min(r.ring_bytes - offset, r.consumed + r.ring_bytes - r.filled);
        // no room, or the lap is full of a record that has to wrap first
        r.starved = free == 0 or (offset == 0 and r.filled != r.scanned);
        if (r.starved) return &.{};
        return (r.arena + offset)[0..free];
    }

    pub fn filled_by(r: *StreamReader, count: usize) void {
        r.filled += count;
        r.filled_bytes += count;
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
    }
};
