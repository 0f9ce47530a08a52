//! The hot loop of a native program: a writer's or a reader's state by value, in registers.
//!
//! `Writer` and `Reader` live in a channel that others may look at, so every store through a payload pointer makes the compiler reload
//! them: 12 cycles a message. A cursor is a local copy of what changes per message, taken with `of` and given back with `settle`; whatever
//! is rare (a full ring, the end of a lap, fragments, an untrusted peer) settles first and uses the functions of the original.
//! While a cursor is out, nobody else may use its Writer or Reader.
//!
//!     var c = WriteCursor.of(writer);                       var c = ReadCursor.of(reader);
//!     defer c.settle();                                     defer c.settle();
//!     const room = c.reserve(64) orelse …;                  while (c.next()) |message| {
//!     fill(room);                                               use(message);
//!     c.commit(64);                                             c.release();
//!     c.flush();                                            }

const std = @import("std");
const record = @import("../layout/record.zig");
const control = @import("../layout/control.zig");
const fault = @import("fault.zig");
const Writer = @import("record_writer.zig").Writer;
const Reader = @import("record_reader.zig").Reader;
const bells = @import("bell.zig");
const Bell = bells.Bell;
const Header = record.Header;

pub const WriteCursor = struct {
    base: [*]align(4096) u8,
    mask: u32,
    max_payload: u32,
    position: u64,
    published: u64,
    /// No record may end behind this: the free space or the end of the lap, whichever is nearer.
    stop: u64,
    held: u64,
    reserved: u32 = 0,
    messages: u64,
    bytes: u64,
    writer: *Writer,
    bell: *Bell,
    own: *control.Control,

    pub inline fn of(writer: *Writer) WriteCursor {
        var c: WriteCursor = undefined;
        c.writer = writer;
        c.bell = writer.bell;
        c.own = writer.bell.own;
        c.base = writer.base;
        c.mask = writer.mask;
        c.max_payload = writer.max_payload;
        c.load();
        return c;
    }

    inline fn load(c: *WriteCursor) void {
        const w = c.writer;
        c.position = w.position;
        c.published = w.published;
        c.held = w.held;
        c.reserved = w.reserved;
        c.messages = w.messages;
        c.bytes = w.bytes;
        c.stop = @min(w.limit, (w.position | w.mask) + 1);
    }

    /// The writer is as if it had done everything itself.
    pub inline fn settle(c: *WriteCursor) void {
        const w = c.writer;
        w.position = c.position;
        w.published = c.published;
        w.held = c.held;
        w.reserved = c.reserved;
        w.messages = c.messages;
        w.bytes = c.bytes;
    }

    inline fn at(c: *const WriteCursor, position: u64) *u64 {
        return @ptrCast(@alignCast(c.base + (@as(u32, @truncate(position)) & c.mask)));
    }

    /// As Writer.reserve. The header is laid down now, before the payload, if it may be: a core drains its stores in order, and a stream
    /// of stores that only goes forward crosses to the other core a quarter faster than one that goes back for each header.
    pub inline fn reserve(c: *WriteCursor, size: u32) ?[]u8 {
        if (size > c.max_payload) return null;
        const offset = @as(u32, @truncate(c.position)) & c.mask;
        const length = record.length(offset, size);
        if (c.position +% length > c.stop) {
            @branchHint(.unlikely);
            return c.reserveSlow(size);
        }
        c.reserved = length;
        if (c.held != 0) c.at(c.position).* = @bitCast(Header.of(.message, size, length));
        return (c.base + offset + record.header_bytes)[0..size];
    }

    inline fn reserveSlow(c: *WriteCursor, size: u32) ?[]u8 {
        c.settle();
        const got = reserveOf(c.writer, size);
        c.load();
        return if (got) c.writer.place(size) else null;
    }

    noinline fn reserveOf(writer: *Writer, size: u32) bool {
        const room = writer.reserve(size) orelse return false;
        if (writer.held != 0) writer.headerAt(writer.position).* = @bitCast(Header.of(.message, @intCast(room.len), writer.reserved));
        return true;
    }

    /// Commits the reservation, which was for exactly `size` bytes.
    pub inline fn commit(c: *WriteCursor, size: u32) void {
        if (c.held == 0) c.held = @bitCast(Header.of(.message, size, c.reserved));
        c.position +%= c.reserved;
        c.messages +%= 1;
        c.bytes +%= size;
    }

    /// Commits fewer bytes than were reserved.
    pub inline fn shorten(c: *WriteCursor, size: u32) void {
        const header: u64 = @bitCast(Header.of(.message, size, c.reserved));
        if (c.held == 0) c.held = header else c.at(c.position).* = header;
        c.position +%= c.reserved;
        c.messages +%= 1;
        c.bytes +%= size;
    }

    /// Publishes what was committed, and rings if the reader sleeps.
    pub inline fn flush(c: *WriteCursor) void {
        if (c.held == 0) return;
        c.at(c.position).* = 0;
        @atomicStore(u64, c.at(c.published), c.held, .release);
        c.published = c.position;
        c.held = 0;
        Writer.prefetch(c.base, c.mask, c.published);
        c.own.messages_sent = c.messages;
        c.own.bytes_sent = c.bytes;
        c.own.published = c.published;
        c.bell.notify(control.sleep_data);
    }

    /// No space: publishes what there is, or the reader could not make any, and looks at its cursor again.
    pub inline fn press(c: *WriteCursor) void {
        c.flush();
        c.settle();
        refreshOf(c.writer);
        c.load();
    }

    // A cursor handed to a function that is not inline lives in memory from then on, and all of the above is lost.
    noinline fn refreshOf(writer: *Writer) void {
        _ = writer.refresh();
    }
};

pub const ReadCursor = struct {
    base: [*]align(4096) const u8,
    mask: u32,
    step: u32,
    position: u64,
    released: u64,
    messages: u64,
    bytes: u64,
    /// The last header that passed every check, with what it says. An equal one needs none but its place: streams of equal messages are
    /// validated by one comparison, and the next position comes from here instead of from the load before it, so that the loads of
    /// several records (each likely to miss) are under way at once. Never set when reads are copies.
    known: u64 = 0,
    /// Records like it lie wholly in the ring at offsets below this; 0: nothing is known.
    known_offsets: u32 = 0,
    known_length: u32 = 0,
    known_size: u32 = 0,
    reader: *Reader,

    pub inline fn of(reader: *Reader) ReadCursor {
        var c: ReadCursor = .{
            .base = reader.base,
            .mask = reader.mask,
            .step = reader.release_step,
            .position = undefined,
            .released = undefined,
            .messages = undefined,
            .bytes = undefined,
            .reader = reader,
        };
        c.load();
        return c;
    }

    inline fn load(c: *ReadCursor) void {
        const r = c.reader;
        c.position = r.offered;
        c.released = r.released;
        c.messages = r.messages;
        c.bytes = r.bytes;
    }

    /// The reader is as if it had done everything itself. What next() handed out stays lent until release().
    pub inline fn settle(c: *ReadCursor) void {
        const r = c.reader;
        r.offered = c.position;
        r.messages = c.messages;
        r.bytes = c.bytes;
    }

    /// As Reader.next: the next whole message, or null. Valid until release().
    pub inline fn next(c: *ReadCursor) ?[]const u8 {
        const offset = @as(u32, @truncate(c.position)) & c.mask;
        const h = @atomicLoad(u64, @as(*const u64, @ptrCast(@alignCast(c.base + offset))), .acquire);
        if (h == c.known and offset < c.known_offsets) {
            c.position +%= c.known_length;
            c.messages +%= 1;
            c.bytes +%= c.known_size;
            return (c.base + offset + record.header_bytes)[0..c.known_size];
        }
        return c.other(h);
    }

    inline fn other(c: *ReadCursor, word: u64) ?[]const u8 {
        const h: Header = @bitCast(word);
        const r = c.reader;
        if (!h.published()) {
            if (r.consumed != c.released) {
                c.settle();
                idleOf(r);
                c.load();
            }
            return null;
        }
        const offset = @as(u32, @truncate(c.position)) & c.mask;
        const rest = c.mask + 1 - offset;
        if (h.kind != .message or r.copies or r.scanned > c.position or r.checker.check(h, rest) != fault.none) {
            @branchHint(.unlikely);
            c.settle();
            const message = nextOf(r);
            c.load();
            return message;
        }
        c.known = word;
        c.known_length = h.bytes();
        c.known_size = h.size;
        c.known_offsets = c.mask + 2 - h.bytes();
        c.position +%= h.bytes();
        c.messages +%= 1;
        c.bytes +%= h.size;
        return (c.base + offset + record.header_bytes)[0..h.size];
    }

    noinline fn idleOf(reader: *Reader) void {
        reader.idle();
    }

    noinline fn nextOf(reader: *Reader) ?[]const u8 {
        return reader.next();
    }

    /// Gives back everything that next() handed out.
    pub inline fn release(c: *ReadCursor) void {
        if (c.position -% c.released >= c.step) {
            @branchHint(.unlikely);
            c.settle();
            releaseOf(c.reader);
            c.load();
        } else c.reader.consumed = c.position;
    }

    noinline fn releaseOf(reader: *Reader) void {
        reader.release();
    }
};

// ---- tests: a writer and a reader in one thread, over plain memory ----

const Pair = struct {
    const ring_bytes = 4096;
    ring: [ring_bytes]u8 align(4096) = @splat(0),
    controls: [2]control.Control align(4096) = @bitCast(@as([2 * control.bytes]u8, @splat(0))),
    writer_bell: bells.Bell = undefined,
    reader_bell: bells.Bell = undefined,
    writer: Writer = undefined,
    reader: Reader = undefined,

    const calls: bells.Calls = .{ .wake = wake, .ring = ring_ };
    fn wake(_: *const u32) void {}
    fn ring_(_: i32) void {}

    fn init(p: *Pair) void {
        p.writer_bell = .{ .own = &p.controls[0], .peer = &p.controls[1], .fence = false, .doorbell = -1, .calls = &calls };
        p.reader_bell = .{ .own = &p.controls[1], .peer = &p.controls[0], .fence = false, .doorbell = -1, .calls = &calls };
        p.writer = .init(&p.ring, ring_bytes, 1 << 20, &p.controls[1].released_even, &p.writer_bell);
        p.reader = .init(&p.ring, &p.ring, ring_bytes, 1 << 20, &p.reader_bell);
    }
};

fn sizeOf(random: std.Random, last: u32) u32 {
    return if (random.uintLessThan(u32, 4) != 0) last else random.uintLessThan(u32, 201) + (if (random.uintLessThan(u32, 8) == 0) @as(u32, 824) else 0);
}

test "cursors and their originals tell the same story" {
    var pair: Pair = .{};
    pair.init();
    var seed = std.Random.DefaultPrng.init(1);
    const random = seed.random();
    var sizes: [4096]u32 = undefined;
    var sent: u32 = 0;
    var got: u32 = 0;
    var bytes: u64 = 0;
    var size: u32 = 64;
    while (sent < sizes.len) {
        const through_cursor = random.boolean();
        var c = WriteCursor.of(&pair.writer);
        for (0..random.uintLessThan(u32, 40)) |_| {
            if (sent == sizes.len) break;
            size = sizeOf(random, size);
            const room = (if (through_cursor) c.reserve(size) else pair.writer.reserve(size)) orelse break;
            @memset(room, @truncate(sent));
            const shorter = if (random.uintLessThan(u32, 8) == 0) size / 2 else size;
            if (!through_cursor) pair.writer.commit(shorter) else if (shorter == size) c.commit(size) else c.shorten(shorter);
            sizes[sent] = shorter;
            sent += 1;
            bytes += shorter;
            if (random.uintLessThan(u32, 3) == 0) if (through_cursor) c.flush() else pair.writer.flush();
        }
        if (through_cursor) {
            c.flush();
            c.settle();
        } else pair.writer.flush();
        try std.testing.expectEqual(@as(u64, sent), pair.controls[0].messages_sent);
        try std.testing.expectEqual(bytes, pair.controls[0].bytes_sent);

        var r = ReadCursor.of(&pair.reader);
        const reads_through_cursor = random.boolean();
        while (got < sent) {
            const message = (if (reads_through_cursor) r.next() else pair.reader.next()) orelse return error.Missing;
            try std.testing.expectEqual(@as(usize, sizes[got]), message.len);
            for (message) |byte| try std.testing.expectEqual(@as(u8, @truncate(got)), byte);
            got += 1;
            if (reads_through_cursor) r.release() else pair.reader.release();
        }
        try std.testing.expectEqual(@as(?[]const u8, null), if (reads_through_cursor) r.next() else pair.reader.next());
        if (reads_through_cursor) r.settle();
        try std.testing.expectEqual(pair.writer.published, pair.reader.consumed);
        try std.testing.expectEqual(pair.writer.published, pair.controls[1].released_even);
        try std.testing.expectEqual(@as(u64, got), pair.controls[1].messages_delivered);
        try std.testing.expectEqual(bytes, pair.controls[1].bytes_delivered);
    }
}

test "an empty ring is empty for a fresh cursor too" {
    var pair: Pair = .{};
    pair.init();
    var r = ReadCursor.of(&pair.reader);
    try std.testing.expectEqual(@as(?[]const u8, null), r.next());
    try std.testing.expectEqual(@as(?[]const u8, null), r.next());
    try std.testing.expectEqual(@as(u64, 0), r.messages);
}

test "a read cursor accepts no header that the reader would refuse" {
    const bad = [_]Header{
        .of(.message, 65, 72), // longer than its record
        .of(.message, 64, 8192), // outside the ring
        .{ .kind = @enumFromInt(9), .size = 64, .stride = 9 },
        .of(.more, 64, 72), // a fragment of nothing
    };
    for (bad) |header| {
        var pair: Pair = .{};
        pair.init();
        var c = WriteCursor.of(&pair.writer);
        for (0..3) |_| {
            _ = c.reserve(64).?;
            c.commit(64);
        }
        c.flush();
        c.settle();
        pair.writer.headerAt(144).* = @bitCast(header);
        var r = ReadCursor.of(&pair.reader);
        try std.testing.expect(r.next() != null and r.next() != null);
        try std.testing.expect(r.next() == null);
        try std.testing.expect(pair.reader.fault != fault.none);
    }
    // an equal header where the record would cross the end of the ring
    var pair: Pair = .{};
    pair.init();
    var c = WriteCursor.of(&pair.writer);
    while (c.reserve(64)) |_| c.commit(64);
    c.flush();
    c.settle();
    var r = ReadCursor.of(&pair.reader);
    while (r.next()) |_| r.release();
    try std.testing.expectEqual(fault.none, pair.reader.fault);
    pair.writer.headerAt(r.position).* = r.known;
    try std.testing.expect(r.position + 72 > Pair.ring_bytes);
    try std.testing.expect(r.next() == null);
    try std.testing.expectEqual(fault.length, pair.reader.fault);
}
