//! The writing half: lays records out behind the published position and publishes them a batch at a time.
//!
//! The header of a batch's first record is held back; everything else is written plainly, the header after the batch is zeroed, and one
//! release store of the held header publishes all of it. So "the header at the reader's cursor is zero or valid" always holds.
//!
//! The same code writes into a shared ring and into the private arena of a kernel stream; only where `released` lives differs.
//! No system calls here. Hot functions are `inline`: programs in this process use them without any call at all.

const std = @import("std");
const record = @import("../layout/record.zig");
const control = @import("../layout/control.zig");
const fault = @import("fault.zig");
const bell = @import("bell.zig");
const Header = record.Header;

pub const Writer = struct {
    base: [*]align(4096) u8,
    ring_bytes: u32,
    mask: u32,
    /// Largest payload of one record.
    max_payload: u32,
    max_message: u32,
    /// End of what is laid out; `published` ≤ `position` ≤ `limit`.
    position: u64 = 0,
    published: u64 = 0,
    limit: u64,
    /// Header of the first record since the last flush, 0 if there is none.
    held: u64 = 0,
    /// Length of the open reservation.
    reserved: u32 = 0,
    messages: u64 = 0,
    bytes: u64 = 0,
    /// The reader's cursor as last seen, and where it is.
    released: u64 = 0,
    released_at: *const u64,
    bell: *bell.Bell,
    /// FAULT_* once the reader's cursor was impossible.
    fault: u32 = fault.none,
    /// Free bytes when space last ran short: writable means more than that.
    shortage: u32 = 0,
    /// Message being sent in fragments: bytes of it done, and its size.
    sending: u32 = 0,
    sending_total: u32 = 0,
    /// Memory that is allocated like a heap: whom to ask for more.
    growth: ?Growth = null,
    /// Where the PAD at the end of an even and an odd lap begins (kernel streams do not send it).
    pads: [2]u64 = .{ std.math.maxInt(u64), std.math.maxInt(u64) },

    pub const Growth = struct {
        context: *anyopaque,
        /// Goes on elsewhere, with at least so many bytes.
        grow: *const fn (*anyopaque, u32) bool,
        /// Would grow() find them?
        fits: *const fn (*anyopaque, u32) bool,
    };

    pub fn init(base: [*]align(4096) u8, ring_bytes: u32, max_message: u32, released_at: *const u64, a_bell: *bell.Bell) Writer {
        return .{
            .base = base,
            .ring_bytes = ring_bytes,
            .mask = ring_bytes - 1,
            .max_payload = record.maxPayload(ring_bytes),
            .max_message = max_message,
            .limit = ring_bytes - record.reserve_bytes,
            .released_at = released_at,
            .bell = a_bell,
        };
    }

    pub inline fn headerAt(w: *const Writer, position: u64) *u64 {
        return @ptrCast(@alignCast(w.base + (@as(u32, @truncate(position)) & w.mask)));
    }

    /// Room for one message of `size` bytes, in place; null: no space now (or larger than max_payload: `send` cuts it). Opening a
    /// second one before commit() replaces the first.
    pub inline fn reserve(w: *Writer, size: u32) ?[]u8 {
        if (size > w.max_payload) return null;
        const offset = @as(u32, @truncate(w.position)) & w.mask;
        const length = record.length(offset, size);
        if (offset +% length > w.ring_bytes or w.position +% length > w.limit) {
            @branchHint(.unlikely);
            return w.reserveSlow(size);
        }
        w.reserved = length;
        return (w.base + offset + record.header_bytes)[0..size];
    }

    noinline fn reserveSlow(w: *Writer, size: u32) ?[]u8 {
        if (w.growth != null) {
            if (!w.more(size)) return null;
            w.reserved = record.length(@as(u32, @truncate(w.position)) & w.mask, size);
            return w.place(size);
        }
        const offset = @as(u32, @truncate(w.position)) & w.mask;
        const length = record.length(offset, size);
        const rest = w.ring_bytes - offset;
        const wraps = length > rest;
        const need = if (wraps) rest + record.length(0, size) else length;
        if (w.position +% need > w.limit and (!w.refresh() or w.position +% need > w.limit)) {
            w.shortage = w.free();
            return null;
        }
        if (wraps) {
            w.pads[w.lapOf(w.position)] = w.position;
            w.append(Header.of(.pad, 0, rest));
            w.reserved = record.length(0, size);
        } else w.reserved = length;
        return w.place(size);
    }

    /// A new stretch of the heap for a record of `size` bytes, with all the slack it may want.
    pub fn more(w: *Writer, size: u32) bool {
        const growth = w.growth orelse return false;
        const need = record.header_bytes + (size +% 7 & ~@as(u32, 7)) + record.line_bytes;
        if (growth.grow(growth.context, need)) return true;
        w.shortage = need;
        return false;
    }

    /// Where the open reservation of `size` bytes lies.
    pub inline fn place(w: *const Writer, size: u32) []u8 {
        return (w.base + (@as(u32, @truncate(w.position)) & w.mask) + record.header_bytes)[0..size];
    }

    /// Commits the reservation, shortened to `size` bytes if that is less. Not visible before flush().
    pub inline fn commit(w: *Writer, size: u32) void {
        w.commitAs(.message, size);
        w.messages +%= 1;
        w.bytes +%= size;
    }

    pub inline fn commitAs(w: *Writer, kind: record.Kind, size: u32) void {
        const offset = @as(u32, @truncate(w.position)) & w.mask;
        // a shorter record may have longer slack than was reserved: it keeps the reserved length
        w.append(Header.of(kind, size, @min(record.length(offset, size), w.reserved)));
    }

    inline fn append(w: *Writer, header: Header) void {
        if (w.held == 0) w.held = @bitCast(header) else w.headerAt(w.position).* = @bitCast(header);
        w.position +%= header.bytes();
    }

    /// Publishes what was committed, and rings if the reader sleeps.
    pub inline fn flush(w: *Writer) void {
        if (w.held == 0) return;
        w.publishHeld();
        w.bell.notify(control.sleep_data);
    }

    inline fn publishHeld(w: *Writer) void {
        w.headerAt(w.position).* = 0;
        @atomicStore(u64, w.headerAt(w.published), w.held, .release);
        w.published = w.position;
        w.held = 0;
        prefetch(w.base, w.mask, w.published);
        const own = w.bell.own;
        own.messages_sent = w.messages;
        own.bytes_sent = w.bytes;
        own.published = w.published;
    }

    /// flush() without ringing, for streams, whose bytes have to be sent first.
    pub fn publishQuietly(w: *Writer) void {
        if (w.held != 0) w.publishHeld();
    }

    /// The next two lines for writing, so that zeroing the next header does not hold up the next publication.
    pub inline fn prefetch(base: [*]align(4096) u8, mask: u32, published: u64) void {
        const next = @as(u32, @truncate(published)) & ~@as(u32, record.line_bytes - 1);
        inline for (.{ 64, 128 }) |ahead| {
            const line = base + ((next +% ahead) & mask);
            switch (@import("builtin").cpu.arch) {
                .x86_64 => asm volatile ("prefetchw (%[line])"
                    :
                    : [line] "r" (line),
                ),
                else => @prefetch(line, .{ .rw = .write, .locality = 3 }),
            }
        }
    }

    /// `bytes` of records that the caller laid out itself behind the published position; their first header is `first`.
    /// False: that cannot be. `check` walks the batch (streams need to know where its PAD is).
    pub fn publishBatch(w: *Writer, bytes: u32, first: Header, messages: u32, payload: u32, check: bool) bool {
        if (bytes < record.header_bytes or bytes % record.alignment != 0 or w.held != 0) return false;
        if (!first.published() or first.bytes() > bytes or first.bytes() == 0) return false;
        if (w.published +% bytes > w.limit and (!w.refresh() or w.published +% bytes > w.limit)) return false;
        if (check and !w.walk(bytes, first)) return false;
        w.position = w.published +% bytes;
        w.held = @bitCast(first);
        w.messages +%= messages;
        w.bytes +%= payload;
        w.publishHeld();
        w.shortage = @min(w.shortage, w.free());
        return true;
    }

    fn walk(w: *Writer, bytes: u32, first: Header) bool {
        var at = w.published;
        const stop = at +% bytes;
        var header = first;
        while (true) {
            const offset = @as(u32, @truncate(at)) & w.mask;
            const length = header.bytes();
            if (length == 0 or length > stop -% at or length > w.ring_bytes - offset or length < @as(u64, header.size) + record.header_bytes) return false;
            if (header.kind == .pad and offset + length == w.ring_bytes) w.pads[w.lapOf(at)] = at;
            at +%= length;
            if (at == stop) return true;
            header = @bitCast(w.headerAt(at).*);
        }
    }

    /// Bytes free behind the laid-out position, by the cursor as last seen.
    pub inline fn free(w: *const Writer) u32 {
        return @truncate(w.limit -% w.position);
    }

    /// Looks at the reader's cursor. False: it cannot be right (the fault is noted).
    pub fn refresh(w: *Writer) bool {
        if (w.growth != null or w.fault != fault.none) return w.fault == fault.none;
        const seen = @atomicLoad(u64, w.released_at, .acquire);
        if (seen < w.released or seen > w.published) {
            w.fault = fault.cursor;
            return false;
        }
        w.released = seen;
        w.limit = seen + w.ring_bytes - record.reserve_bytes;
        return true;
    }

    /// Is there more room than when it last ran short? Half the ring (a PAD and the largest record) is always
    /// enough to say yes.
    pub fn writable(w: *Writer) bool {
        if (!w.refresh()) return true;
        if (w.growth) |growth| return w.free() > w.shortage or growth.fits(growth.context, w.shortage + record.alignment);
        return w.free() > w.shortage or w.free() >= w.ring_bytes / 2 + 4 * record.line_bytes;
    }

    pub const Sent = enum { ok, no_space, too_large, other_message };

    /// Copies a message in, in fragments if need be, publishing through `publish` (flush, or a stream's pump). After no_space the same
    /// message must be offered again: part of it may be under way.
    pub fn send(w: *Writer, message: []const u8, context: anytype, comptime publish: fn (@TypeOf(context)) void) Sent {
        if (message.len > w.max_message) return .too_large;
        const size: u32 = @intCast(message.len);
        if (w.sending != 0 and w.sending_total != size) return .other_message;
        // one that was begun in fragments goes on in fragments, also where the next path could take it whole
        if (size <= w.max_payload and w.sending == 0) {
            const room = w.reserve(size) orelse {
                publish(context);
                return .no_space;
            };
            if (size <= record.short_bytes) record.copyShort(room.ptr, message.ptr, size) else @memcpy(room, message);
            w.commit(size);
            publish(context);
            return .ok;
        }
        while (w.sending < size) {
            const prefix: u32 = if (w.sending == 0) record.fragment_prefix_bytes else 0;
            const part = @min(size - w.sending, w.max_payload - prefix);
            const room = w.reserve(prefix + part) orelse {
                publish(context);
                w.sending_total = size;
                return .no_space;
            };
            if (prefix != 0) @as(*align(8) [2]u32, @ptrCast(@alignCast(room.ptr))).* = .{ size, 0 };
            @memcpy(room[prefix..], message[w.sending..][0..part]);
            const kind: record.Kind = if (prefix != 0) .first else if (w.sending + part == size) .last else .more;
            w.commitAs(kind, prefix + part);
            w.sending += part;
            publish(context); // each at once: the reader copies while we go on
        }
        w.sending = 0;
        w.sending_total = 0;
        w.messages +%= 1;
        w.bytes +%= size;
        w.bell.own.messages_sent = w.messages;
        w.bell.own.bytes_sent = w.bytes;
        return .ok;
    }

    /// The END record after everything published; the reserve has room for it.
    pub fn end(w: *Writer) void {
        w.append(Header.of(.end, 0, record.header_bytes));
        w.bell.own.end_position = w.position;
        w.publishHeld();
    }

    /// The MARKER after everything published: what follows goes through the next path. The reserve has room for it.
    pub fn marker(w: *Writer) void {
        w.append(Header.of(.marker, 0, record.header_bytes));
        w.publishHeld();
    }

    /// Goes on where `before` stopped: its counts, and the message it was sending.
    pub fn follow(w: *Writer, before: *const Writer) void {
        w.messages = before.messages;
        w.bytes = before.bytes;
        w.sending = before.sending;
        w.sending_total = before.sending_total;
    }

    /// Where the unbroken run of records that holds `position` ends, at most `stop`; null: a PAD lies there, up to the end of its lap.
    pub fn runEnd(w: *const Writer, position: u64, stop: u64) ?u64 {
        const lap_end = w.lapEnd(position);
        const pad = w.pads[w.lapOf(position)];
        if (pad == position) return null;
        return @min(stop, if (pad > position and pad < lap_end) pad else lap_end);
    }

    /// The unbroken runs of records from `at` up to `stop`.
    pub const Runs = struct {
        writer: *const Writer,
        at: u64,
        stop: u64,

        pub fn next(r: *Runs) ?[]const u8 {
            while (r.at < r.stop) {
                const first = r.at;
                r.at = r.writer.runEnd(first, r.stop) orelse {
                    r.at = r.writer.lapEnd(first);
                    continue;
                };
                return (r.writer.base + (@as(u32, @truncate(first)) & r.writer.mask))[0..@intCast(r.at - first)];
            }
            return null;
        }
    };

    pub fn runs(w: *const Writer, from: u64, stop: u64) Runs {
        return .{ .writer = w, .at = from, .stop = stop };
    }

    pub inline fn lapEnd(w: *const Writer, position: u64) u64 {
        return (position | w.mask) + 1;
    }

    /// Even or odd: which of `pads` is that lap's.
    inline fn lapOf(w: *const Writer, position: u64) u1 {
        return @intFromBool(position & w.ring_bytes != 0);
    }
};
