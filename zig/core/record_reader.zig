//! The reading half: scans record headers, each loaded once (u64, acquire) and checked, and hands out windows of whole records.
//!
//!     consumed ≤ offered ≤ scanned        positions, 64 bits
//!     ├─ lent ──┤├─ new ─┤               lent: handed out and not yet given back; new: checked, not yet handed out
//!
//! A window (`new`) never crosses the end of the arena. Trusted rings are read in place; from an untrusted ring each record is copied into
//! a private arena, at the same offset and with the header as it was checked, before anything else looks at it.
//! PADs are part of windows, except where nothing is lent: there they are skipped. END and MARKER are never part of one.

const std = @import("std");
const record = @import("../layout/record.zig");
const control = @import("../layout/control.zig");
const fault = @import("fault.zig");
const bell = @import("bell.zig");
const Header = record.Header;

/// Checks the order and the sums of fragments, and each header against its limits.
pub const Checker = struct {
    max_message: u32,
    /// Longest record there may be.
    max_length: u32,
    /// Of the message whose fragments are arriving: size, and how much of it has come. 0 0: none.
    total: u32 = 0,
    seen: u32 = 0,
    open: bool = false,

    /// `rest`: bytes up to the end of the ring. Answers fault.none if the record is right. FIRST is completed by `begin`.
    pub inline fn check(c: *Checker, h: Header, rest: u32) u32 {
        const length = h.bytes();
        if (length > rest or length > c.max_length or @as(u64, h.size) + record.header_bytes > length) return fault.length;
        if (h.kind == .message) {
            @branchHint(.likely);
            if (h.size > c.max_message) return fault.length;
            return if (c.open) fault.fragment else fault.none;
        }
        return c.checkRare(h);
    }

    noinline fn checkRare(c: *Checker, h: Header) u32 {
        switch (h.kind) {
            .pad => return fault.none,
            .first => return if (c.open or h.size < record.fragment_prefix_bytes) fault.fragment else fault.none,
            .more, .last => {
                if (!c.open) return fault.fragment;
                const now = @as(u64, c.seen) + h.size;
                if (now > c.total or (h.kind == .last) != (now == c.total)) return fault.fragment;
                c.seen = @intCast(now);
                if (h.kind == .last) c.open = false;
                return fault.none;
            },
            // a writer that closes in the middle of a message abandons it
            .end => return if (h.size != 0) fault.fragment else fault.none,
            // in the middle of a message too: its other fragments come through the next path
            .marker => return if (h.size != 0) fault.fragment else fault.none,
            else => return fault.kind,
        }
    }

    /// A FIRST record says `total`; `size` is its payload, prefix included.
    pub fn begin(c: *Checker, total: u32, size: u32) u32 {
        if (total > c.max_message) return fault.length;
        c.seen = size - record.fragment_prefix_bytes;
        if (c.seen >= total) return fault.fragment;
        c.total = total;
        c.open = true;
        return fault.none;
    }
};

pub const Reader = struct {
    /// What the peer writes, and where the application reads: the same unless the peer is untrusted.
    base: [*]align(4096) const u8,
    arena: [*]align(4096) u8,
    ring_bytes: u32,
    mask: u32,
    copies: bool,
    consumed: u64 = 0,
    offered: u64 = 0,
    scanned: u64 = 0,
    /// `consumed` as last told to the writer.
    released: u64 = 0,
    /// How much may be consumed before it is told.
    release_step: u32,
    /// How far one scan goes: no more than stays in the first caches.
    scan_step: u32,
    messages: u64 = 0,
    bytes: u64 = 0,
    checker: Checker,
    bell: *bell.Bell,
    ended: bool = false,
    /// The records go on in the next path.
    at_marker: bool = false,
    /// Where the writer looks for `released`.
    released_to: *u64,
    fault: u32 = fault.none,

    pub fn init(base: [*]align(4096) const u8, arena: [*]align(4096) u8, ring_bytes: u32, max_message: u32, a_bell: *bell.Bell) Reader {
        return .{
            .base = base,
            .arena = arena,
            .ring_bytes = ring_bytes,
            .mask = ring_bytes - 1,
            .copies = @intFromPtr(base) != @intFromPtr(arena),
            .release_step = ring_bytes / 8,
            .scan_step = if (base == arena) 128 << 10 else 32 << 10,
            .checker = .{ .max_message = max_message, .max_length = ring_bytes },
            .bell = a_bell,
            .released_to = &a_bell.own.released_even,
        };
    }

    inline fn load(r: *const Reader, position: u64) Header {
        const at: *const u64 = @ptrCast(@alignCast(r.base + (@as(u32, @truncate(position)) & r.mask)));
        return @bitCast(@atomicLoad(u64, at, .acquire));
    }

    /// Nothing new, nothing to tell, nothing wrong.
    pub inline fn quiet(r: *const Reader) bool {
        return r.scanned == r.offered and r.consumed == r.released and !r.ended and !r.at_marker and r.fault == fault.none and !r.load(r.offered).published();
    }

    /// Extends the new window. True if there is one afterwards.
    pub fn scan(r: *Reader) bool {
        if (r.scanned < r.offered) r.scanned = r.offered; // next() goes ahead without it
        while (r.scanned -% r.offered < r.scan_step and !r.ended and !r.at_marker and r.fault == fault.none) {
            const offset = @as(u32, @truncate(r.scanned)) & r.mask;
            if (offset == 0 and r.scanned != r.offered) break;
            const h = r.load(r.scanned);
            if (!h.published()) break;
            if (!r.accept(h, offset)) break;
        }
        return r.scanned != r.offered;
    }

    /// One checked record joins the window. False: it does not, see `ended` and `fault`.
    fn accept(r: *Reader, h: Header, offset: u32) bool {
        // more than a ring beyond what was consumed cannot be: the writer was told nothing newer than `released`
        if (r.scanned -% r.consumed +% h.bytes() > r.ring_bytes) return r.fail(fault.length);
        const wrong = r.checker.check(h, r.ring_bytes - offset);
        if (wrong != fault.none) return r.fail(wrong);
        switch (h.kind) {
            .pad => if (r.scanned == r.consumed) {
                r.scanned +%= h.bytes();
                r.offered = r.scanned;
                r.consumed = r.scanned;
                return true;
            },
            .end => {
                r.ended = true;
                return false;
            },
            .marker => {
                r.at_marker = true;
                return false;
            },
            else => {},
        }
        if (r.copies) {
            const to = r.arena + offset;
            if (h.kind != .pad) @memcpy(to[record.header_bytes..][0..h.size], r.base[offset + record.header_bytes ..][0..h.size]);
            @as(*u64, @ptrCast(@alignCast(to))).* = @bitCast(h);
        }
        if (h.kind == .first) {
            const total = @as(*const volatile u32, @ptrCast(@alignCast(r.arena + offset + record.header_bytes))).*;
            const bad = r.checker.begin(total, h.size);
            if (bad != fault.none) return r.fail(bad);
        }
        r.scanned +%= h.bytes();
        return true;
    }

    fn fail(r: *Reader, what: u32) bool {
        r.fault = what;
        return false;
    }

    /// Takes a short whole message if it is next and nothing is lent, as scan() and consume() would. Null: not that simple.
    pub inline fn takeShort(r: *Reader, out: []u8) ?u32 {
        if (r.copies or r.scanned != r.offered or r.offered != r.consumed or r.fault != fault.none) return null;
        const offset = @as(u32, @truncate(r.offered)) & r.mask;
        const h = r.load(r.offered);
        if (h.kind != .message or h.size > out.len or h.size > record.short_bytes) return null;
        if (r.checker.check(h, r.ring_bytes - offset) != fault.none) return null;
        record.copyShort(out.ptr, r.arena + offset + record.header_bytes, h.size);
        r.scanned +%= h.bytes();
        r.offered = r.scanned;
        r.consumed = r.scanned;
        r.messages +%= 1;
        r.bytes +%= h.size;
        if (r.consumed -% r.released >= r.release_step) r.tell();
        return h.size;
    }

    /// The next whole message, in place (or in the private arena); null: nothing now, or a fragment (`receive` joins those), or the end, or
    /// a fault. Valid until release().
    pub inline fn next(r: *Reader) ?[]const u8 {
        const offset = @as(u32, @truncate(r.offered)) & r.mask;
        const h = r.load(r.offered);
        if (!h.published()) {
            if (r.consumed != r.released) r.tell();
            return null;
        }
        if (h.kind != .message or r.copies or r.scanned > r.offered or r.checker.check(h, r.ring_bytes - offset) != fault.none) {
            @branchHint(.unlikely);
            return r.nextSlow();
        }
        r.offered +%= h.bytes();
        r.messages +%= 1;
        r.bytes +%= h.size;
        return (r.arena + offset + record.header_bytes)[0..h.size];
    }

    noinline fn nextSlow(r: *Reader) ?[]const u8 {
        const first = r.load(r.offered);
        if (first.kind == .pad and !r.copies and r.scanned <= r.offered and r.checker.check(first, r.ring_bytes - (@as(u32, @truncate(r.offered)) & r.mask)) == fault.none) {
            // the end of a lap; scanning would run ahead to the line that is being written
            r.offered +%= first.bytes();
            return r.next();
        }
        while (r.peek()) |h| {
            switch (h.kind) {
                .pad => r.take(h),
                .message => {
                    const offset = @as(u32, @truncate(r.offered)) & r.mask;
                    r.take(h);
                    r.messages +%= 1;
                    r.bytes +%= h.size;
                    return (r.arena + offset + record.header_bytes)[0..h.size];
                },
                else => return null,
            }
        }
        return null;
    }

    /// Header of the first new record, scanning if there is none. It was checked; a trusted peer may have changed it since, so what could
    /// hurt is looked at again.
    pub fn peek(r: *Reader) ?Header {
        if (!r.scan()) {
            if (r.offered == r.consumed) r.idle();
            return null;
        }
        const offset = @as(u32, @truncate(r.offered)) & r.mask;
        const h: Header = @bitCast(@atomicLoad(u64, @as(*const u64, @ptrCast(@alignCast(r.arena + offset))), .monotonic));
        if (h.bytes() == 0 or h.bytes() > r.scanned -% r.offered or @as(u64, h.size) + record.header_bytes > h.bytes()) {
            _ = r.fail(fault.length);
            return null;
        }
        return h;
    }

    pub inline fn payload(r: *const Reader, h: Header) []const u8 {
        return (r.arena + (@as(u32, @truncate(r.offered)) & r.mask) + record.header_bytes)[0..h.size];
    }

    /// Hands out the record that peek() showed.
    pub inline fn take(r: *Reader, h: Header) void {
        r.offered +%= h.bytes();
    }

    /// Gives back everything that next() or take() handed out.
    pub inline fn release(r: *Reader) void {
        r.consumed = r.offered;
        if (r.consumed -% r.released >= r.release_step) r.tell();
    }

    /// Gives back the first `bytes` of what is lent. False: that was not lent.
    pub inline fn consume(r: *Reader, bytes: u32, messages: u32, payload_bytes: u32) bool {
        if (bytes % record.alignment != 0 or bytes > r.offered -% r.consumed) return false;
        r.consumed +%= bytes;
        r.messages +%= messages;
        r.bytes +%= payload_bytes;
        // With nothing left in hand it is told too: the program may not look again, and a closing writer waits for its last message.
        if (r.consumed -% r.released >= r.release_step or r.consumed == r.scanned) r.tell();
        return true;
    }

    /// Nothing to read, or about to sleep: the writer learns all that was consumed.
    pub inline fn idle(r: *Reader) void {
        if (r.consumed != r.released) r.tell() else if (r.bell.own.messages_delivered != r.messages) r.figures();
    }

    /// A message joined from fragments counts when it is handed out, after its last record was given back.
    fn figures(r: *Reader) void {
        r.bell.own.messages_delivered = r.messages;
        r.bell.own.bytes_delivered = r.bytes;
    }

    fn tell(r: *Reader) void {
        r.figures();
        r.released = r.consumed;
        @atomicStore(u64, r.released_to, r.consumed, .release);
        r.bell.notify(control.sleep_space);
    }
};
