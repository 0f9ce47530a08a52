//! Bytes under way: one direction of a stream socket, and pipes. Capacities are small and odd, bytes move in part, those of TCP arrive later.

const std = @import("std");
const linux = std.os.linux;
const choice = @import("choice.zig");
const report = @import("report.zig");

pub const max_flows = 64;
pub const max_pipes = 32;
const flow_bytes = 64 << 10;
const page_bytes = 4096;

pub fn failure(e: linux.E) isize {
    return -@as(isize, @intFromEnum(e));
}
pub const again = failure(.AGAIN);

/// Whether what is moved may be less than what would fit.
pub var partial = true;

fn part(fits: usize) usize {
    if (!partial or fits < 2 or !choice.once(4)) return fits;
    return 1 + choice.below(@intCast(fits));
}

/// One direction of a connection.
pub const Flow = struct {
    used: bool = false,
    /// Sides of the connection that are open.
    sides: u8 = 2,
    tcp: bool = false,
    /// Read so far, arrived so far, written so far.
    head: u64 = 0,
    /// How far the writer's kernel knows that it was read.
    freed: u64 = 0,
    arrived: u64 = 0,
    tail: u64 = 0,
    capacity: u32 = 0,
    /// Nobody writes, nobody reads any more: closed, or shut down.
    writer_gone: bool = false,
    reader_gone: bool = false,
    /// What the reader hears once before the end.
    reset: bool = false,
    /// Somebody meddled: what is under way may be lost.
    disturbed: bool = false,

    fn bytes(f: *const Flow) *[flow_bytes]u8 {
        return &storage[(@intFromPtr(f) - @intFromPtr(&flows)) / @sizeOf(Flow)];
    }

    pub fn send(f: *Flow, from: [*]const u8, count: usize) isize {
        if (f.writer_gone) return failure(.PIPE);
        if (f.reader_gone) {
            // the peer's kernel answers what nobody will read with a reset, which the next write hears
            if (!f.tcp) return failure(.PIPE);
            f.writer_gone = true;
            return @intCast(count);
        }
        const free = f.capacity -| @as(u32, @intCast(f.tail - f.freed));
        if (free == 0) return again;
        const moved = part(@min(free, count));
        copyIn(f.bytes(), f.tail, from[0..moved]);
        f.tail += moved;
        if (!f.tcp) f.arrived = f.tail;
        return @intCast(moved);
    }

    pub fn receive(f: *Flow, to: [*]u8, count: usize) isize {
        const there = @min(f.arrived - f.head, count);
        if (there > 0) {
            const moved = part(there);
            copyOut(f.bytes(), f.head, to[0..moved]);
            f.head += moved;
            if (!f.tcp) f.freed = f.head;
            return @intCast(moved);
        }
        if (f.reset) {
            f.reset = false;
            f.writer_gone = true;
            return failure(.CONNRESET);
        }
        if (f.reader_gone or (f.writer_gone and f.arrived == f.tail)) return 0;
        return again;
    }

    pub fn readable(f: *const Flow) bool {
        return f.arrived > f.head or f.reset or f.reader_gone or (f.writer_gone and f.arrived == f.tail);
    }
    /// As the kernel: not for every single byte of room.
    pub fn writable(f: *const Flow) bool {
        return f.writer_gone or f.reader_gone or (f.tail - f.freed) * 2 <= f.capacity;
    }
    pub fn underWay(f: *const Flow) bool {
        return f.used and (f.arrived < f.tail or f.freed < f.head);
    }
    /// Some of what is under way arrives.
    pub fn arrive(f: *Flow, all: bool) void {
        const rest = f.tail - f.arrived;
        if (all or choice.once(2)) f.freed = f.head;
        f.arrived += if (all or rest < 2) rest else 1 + choice.below(@intCast(rest));
    }

    /// The reading side was closed.
    pub fn closeReader(f: *Flow, back: *Flow) void {
        f.reader_gone = true;
        if (f.tail == f.head) return;
        // closed with bytes unread: the other side hears a reset, and TCP forgets what was still to be sent to it
        back.reset = true;
        if (f.tcp) back.tail = back.arrived;
    }
    pub fn abort(f: *Flow) void {
        f.disturbed = true;
        f.tail = f.arrived;
        f.reset = true;
        f.writer_gone = true;
    }
};

fn copyIn(ring: *[flow_bytes]u8, at: u64, from: []const u8) void {
    const offset: usize = @intCast(at % flow_bytes);
    const first = @min(from.len, flow_bytes - offset);
    @memcpy(ring[offset..][0..first], from[0..first]);
    @memcpy(ring[0 .. from.len - first], from[first..]);
}

fn copyOut(ring: *const [flow_bytes]u8, at: u64, to: []u8) void {
    const offset: usize = @intCast(at % flow_bytes);
    const first = @min(to.len, flow_bytes - offset);
    @memcpy(to[0..first], ring[offset..][0..first]);
    @memcpy(to[first..], ring[0 .. to.len - first]);
}

pub var flows: [max_flows]Flow = @splat(.{});
var storage: [max_flows][flow_bytes]u8 = undefined;

pub fn newFlow(tcp: bool, capacity: u32) u16 {
    for (&flows, 0..) |*one, i| {
        if (one.used) continue;
        one.* = .{ .used = true, .tcp = tcp, .capacity = capacity };
        return @intCast(i);
    }
    @panic("more connections than the simulation has");
}

/// A pipe: pages, copied or lent.
pub const Pipe = struct {
    used: bool = false,
    slots: [max_slots]Slot = undefined,
    first: u32 = 0,
    count: u32 = 0,
    /// Pages it holds.
    limit: u32 = 0,
    readers: u32 = 1,
    writers: u32 = 1,
    disturbed: bool = false,

    const max_slots = 16;

    fn slotAt(p: *Pipe, i: u32) *Slot {
        return &p.slots[(p.first + i) % max_slots];
    }

    pub fn write(p: *Pipe, from: [*]const u8, count: usize) isize {
        if (p.readers == 0) report.fail("a write into a pipe without a reader: SIGPIPE", .{});
        if (p.disturbed) return failure(.NOSPC);
        var room = (p.limit - p.count) * page_bytes;
        if (p.count > 0) {
            const last = p.slotAt(p.count - 1);
            if (last.lent == null) room += page_bytes - @as(u32, @intCast(last.at + last.len));
        }
        // what fits into a page goes whole or not at all
        if (room == 0 or (count <= page_bytes and room < count)) return again;
        const moved = if (count <= page_bytes) count else part(@min(room, count));
        var done: usize = 0;
        while (done < moved) done += p.append(from[done..moved]);
        return @intCast(moved);
    }

    fn append(p: *Pipe, from: []const u8) usize {
        if (p.count > 0) {
            const last = p.slotAt(p.count - 1);
            const end = last.at + last.len;
            if (last.lent == null and end < page_bytes) return put(last, end, from);
        }
        const slot = p.slotAt(p.count);
        slot.lent = null;
        slot.at = 0;
        slot.len = 0;
        p.count += 1;
        return put(slot, 0, from);
    }

    fn put(slot: *Slot, end: usize, from: []const u8) usize {
        const fits = @min(from.len, page_bytes - end);
        @memcpy(slot.bytes[end..][0..fits], from[0..fits]);
        slot.len += fits;
        return fits;
    }

    /// Lends pages: their bytes are looked at when they are read.
    pub fn splice(p: *Pipe, owner: u8, from: [*]const u8, count: usize) isize {
        if (p.readers == 0) report.fail("pages into a pipe without a reader: SIGPIPE", .{});
        if (p.disturbed) return failure(.NOSPC);
        var done: usize = 0;
        while (done < count and p.count < p.limit) {
            const at = @intFromPtr(from) + done;
            const fits = @min(count - done, page_bytes - at % page_bytes);
            const slot = p.slotAt(p.count);
            slot.lent = @ptrFromInt(at);
            slot.owner = owner;
            slot.at = 0;
            slot.len = fits;
            p.count += 1;
            done += fits;
            if (partial and choice.once(4)) break;
        }
        return if (done == 0) again else @intCast(done);
    }

    pub fn read(p: *Pipe, to: [*]u8, count: usize) isize {
        if (p.count == 0) return if (p.writers == 0 or p.disturbed) 0 else again;
        // all there is, as far as it fits: a pipe never gives less
        var done: usize = 0;
        while (done < count and p.count > 0) {
            const slot = p.slotAt(0);
            const from = if (slot.lent) |page| page else slot.bytes[0..].ptr;
            const moved = @min(slot.len, count - done);
            @memcpy(to[done..][0..moved], from[slot.at..][0..moved]);
            done += moved;
            slot.at += moved;
            slot.len -= moved;
            if (slot.len > 0) break;
            p.count -= 1;
            p.first = (p.first + 1) % max_slots;
        }
        return @intCast(done);
    }

    /// The memory goes away (or its process): the pages stay as they are now.
    pub fn keepPages(p: *Pipe, owner: u8, address: usize, size: usize) void {
        for (0..p.count) |i| {
            const slot = p.slotAt(@intCast(i));
            const page = slot.lent orelse continue;
            const at = @intFromPtr(page);
            if (slot.owner != owner or at < address or at >= address + size) continue;
            @memcpy(slot.bytes[slot.at..][0..slot.len], page[slot.at..][0..slot.len]);
            slot.lent = null;
        }
    }
};

const Slot = struct {
    lent: ?[*]const u8,
    owner: u8,
    at: usize,
    len: usize,
    bytes: [page_bytes]u8,
};

pub var pipes: [max_pipes]Pipe = @splat(.{});

pub fn newPipe(limit: u32) u16 {
    for (&pipes, 0..) |*one, i| {
        if (one.used) continue;
        one.used = true;
        one.count = 0;
        one.limit = limit;
        one.readers = 1;
        one.writers = 1;
        one.disturbed = false;
        return @intCast(i);
    }
    @panic("more pipes than the simulation has");
}

pub fn reset() void {
    flows = @splat(.{});
    for (&pipes) |*one| one.used = false;
}
