//! shmem-pipe, the receiver (see heap.zig): where a stretch begins comes through a pipe; its records are found by their headers, checked one
//! by one, handed out as windows, and go back in any order. From an untrusted heap each record is copied into a private arena, at the same offset, before anything else looks at it.

const std = @import("std");
const record = @import("../layout/record.zig");
const bell = @import("bell.zig");
const control = @import("../layout/control.zig");
const faults = @import("fault.zig");
const heap = @import("heap.zig");
const transports = @import("transports.zig");
const Checker = @import("record_reader.zig").Checker;
const Header = record.Header;
const Run = heap.Run;
const HeapMap = @import("heap_map.zig").HeapMap;
const granule = @import("heap_map.zig").granule;

/// Runs handed out and not yet back. More wait in the pipe.
const max_lent = 4096;
/// What was read goes back at the latest when it is this part of the heap, or of a small heap some pages.
const return_part = 8;
const return_bytes = 16 << 10;

pub fn HeapIn(comptime Sys: type) type {
    return struct {
        const Self = @This();

        reader: HeapReader,
        fd: i32 = -1,
        back_fd: i32 = -1,
        scratch: *Scratch,
        runs: *[heap.batch]Run,
        next_run: u32 = 0,
        run_count: u32 = 0,
        back: *heap.Queue,
        back_bytes: u32 = 0,
        /// Where this end counts how often something went back.
        returns_to: *u64 = undefined,
        /// Looks in a row that found nothing.
        vain: u8 = 0,

        /// What it needs beside the heap.
        const Scratch = struct { lent: [max_lent]Run, runs: [heap.batch]Run, back: heap.Queue };
        const map_at = std.mem.alignForward(usize, @sizeOf(Scratch), 64);
        pub fn scratchBytes(heap_bytes: u32) usize {
            return map_at + HeapMap.bytesFor(heap_bytes);
        }

        pub fn init(reader: HeapReader, memory: [*]align(4096) u8) Self {
            const scratch: *Scratch = @ptrCast(memory);
            var t: Self = .{ .reader = reader, .scratch = scratch, .runs = &scratch.runs, .back = &scratch.back };
            t.reader.lent = &scratch.lent;
            t.reader.out = .{ .words = @ptrCast(@alignCast(memory + map_at)), .size = reader.ring_bytes / granule };
            return t;
        }

        pub fn look(t: *Self) bool {
            const r = &t.reader;
            if (r.from < r.limit) return true;
            while (r.fault == faults.none and !r.ended and !r.at_marker and !r.hung_up and r.lent_count < max_lent) {
                if (!r.following and !t.follow()) break;
                r.scan();
                if (r.from < r.limit or r.following or r.fault != faults.none) break;
                t.sendBack(.{ .offset = r.limit, .bytes = heap.tail_bytes }); // where the stretch was left
            }
            if (r.from == r.limit) return false;
            t.vain = 0;
            return true;
        }

        /// Goes where the pipe says.
        fn follow(t: *Self) bool {
            if (t.next_run == t.run_count and !t.fetch()) return false;
            t.next_run += 1;
            return t.reader.begin(t.runs[t.next_run - 1]);
        }

        /// Runs from the pipe.
        fn fetch(t: *Self) bool {
            if (t.fd < 0) return false;
            const bytes = std.mem.sliceAsBytes(t.runs);
            const got = Sys.readPipe(t.fd, bytes.ptr, bytes.len);
            if (got == Sys.again) return false;
            if (got <= 0) {
                t.reader.hung_up = true;
                return false;
            }
            t.next_run = 0;
            t.run_count = @intCast(@min(@as(usize, @intCast(got)), bytes.len) / @sizeOf(Run));
            return t.run_count != 0;
        }
        pub fn offer_(t: *Self) transports.Window {
            const r = &t.reader;
            const window: transports.Window = .{ .offset = r.from, .limit = r.limit };
            r.lend(.{ .offset = r.from, .bytes = r.limit - r.from });
            r.from = r.limit;
            return window;
        }
        pub fn peek(t: *Self) ?Header {
            if (t.look()) {
                const h = t.reader.headerAt(t.reader.from);
                if (h.bytes() == 0 or h.bytes() > t.reader.limit - t.reader.from or @as(u64, h.size) + record.header_bytes > h.bytes()) {
                    t.reader.fault = faults.length; // a trusted peer changed what was checked
                    return null;
                }
                return h;
            }
            t.idle();
            return null;
        }
        pub fn payload(t: *Self, h: Header) []const u8 {
            return (t.reader.arena + t.reader.from + record.header_bytes)[0..h.size];
        }
        pub fn drop(t: *Self, h: Header) void {
            const run: Run = .{ .offset = t.reader.from, .bytes = h.bytes() };
            t.reader.from += h.bytes();
            t.giveBack(run);
        }
        /// The oldest `bytes` of what was handed out.
        pub fn consume(t: *Self, bytes: u32, messages: u32, payload_bytes: u32) bool {
            const r = &t.reader;
            if (bytes % record.alignment != 0 or bytes > r.lent_bytes) return false;
            var left = bytes;
            while (left > 0) {
                const run = r.oldest(left);
                left -= run.bytes;
                t.giveBack(run);
            }
            r.messages +%= messages;
            r.bytes +%= payload_bytes;
            if (r.lent_bytes == 0) t.idle();
            return true;
        }
        /// Records handed out, whichever.
        pub fn release(t: *Self, run: Run, messages: u32, payload_bytes: u32) bool {
            const r = &t.reader;
            if (!r.takeOut(run)) return false;
            r.messages +%= messages;
            r.bytes +%= payload_bytes;
            t.giveBack(run);
            if (r.lent_bytes == 0) t.idle();
            return true;
        }
        fn giveBack(t: *Self, run: Run) void {
            _ = t.reader.out.giveBack(rangeOf(run)); // before the writer can know
            t.sendBack(run);
        }
        fn sendBack(t: *Self, run: Run) void {
            if (!t.back.add(run)) {
                t.tell();
                // the writer looks often enough that its pipe back is never full for long
                if (!t.back.add(run)) t.reader.fault = faults.state;
            }
            t.back_bytes +|= run.bytes; // more than the heap if the peer leaves it in the pipe and sends the same again
            if (t.back_bytes >= returnAt(t.reader.ring_bytes)) t.tell();
        }
        fn returnAt(heap_bytes: u32) u32 {
            return @min(heap_bytes / 4, @max(heap_bytes / return_part, return_bytes));
        }
        /// A reader at the writer's heels finds nothing once or twice after each message: that is no occasion for a call to the kernel.
        pub fn idle(t: *Self) void {
            t.vain +|= 1;
            const bell_ = t.reader.bell;
            if (t.vain >= vain_looks or @atomicLoad(u32, &bell_.peer.sleep_word, .monotonic) & control.sleep_space != 0) t.tell();
            bell_.own.messages_delivered = t.reader.messages;
            bell_.own.bytes_delivered = t.reader.bytes;
        }
        const vain_looks = 3;
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
            return t.reader.at_marker and t.reader.from == t.reader.limit;
        }
        pub fn hungUp(t: *const Self) bool {
            return t.reader.hung_up;
        }
        pub fn starved(_: *const Self) bool {
            return false;
        }
        pub fn underWay(_: *const Self) bool {
            return false;
        }
        pub fn stirred(t: *const Self) bool {
            const r = &t.reader;
            if (r.from < r.limit or t.next_run < t.run_count) return true;
            if (r.following) return r.load(r.limit).published();
            return @as(u32, @truncate(@atomicLoad(u64, &r.bell.peer.published, .monotonic))) & (r.ring_bytes - 1) != r.limit;
        }
        /// What was read goes back.
        pub fn tell(t: *Self) void {
            if (!t.back.flush(t.back_fd, Sys.writePeersPipe)) return;
            t.back_bytes = 0;
            @atomicStore(u64, t.returns_to, t.returns_to.* +% 1, .release);
            t.reader.bell.notifyFenced(control.sleep_space);
        }
        pub fn close(t: *Self) void {
            t.tell();
            inline for (.{ "fd", "back_fd" }) |name| {
                Sys.close(@field(t, name));
                @field(t, name) = -1;
            }
            Sys.unmap(@ptrCast(@alignCast(t.scratch)), scratchBytes(t.reader.ring_bytes));
        }
    };
}

fn rangeOf(run: Run) HeapMap.Range {
    return .{ .first = run.offset / granule, .count = run.bytes / granule };
}

pub const HeapReader = struct {
    /// What the peer writes, and where the application reads: the same unless the peer is untrusted.
    base: [*]align(4096) const u8,
    arena: [*]align(4096) u8,
    ring_bytes: u32,
    copies: bool,
    /// Checked and not yet handed out.
    from: u32 = 0,
    limit: u32 = 0,
    /// More will be found at `limit`; if not, the pipe says where.
    following: bool = false,
    /// Handed out: a queue, oldest first.
    lent: *[max_lent]Run = undefined,
    lent_first: u32 = 0,
    lent_count: u32 = 0,
    lent_bytes: u32 = 0,
    /// What came and has not gone back: no other run may lie there, or what was checked would change.
    out: HeapMap = undefined,
    messages: u64 = 0,
    bytes: u64 = 0,
    checker: Checker,
    bell: *bell.Bell,
    ended: bool = false,
    at_marker: bool = false,
    hung_up: bool = false,
    starved: bool = false,
    fault: u32 = faults.none,

    pub fn init(base: [*]align(4096) const u8, arena: [*]align(4096) u8, ring_bytes: u32, max_message: u32, a_bell: *bell.Bell) HeapReader {
        return .{
            .base = base,
            .arena = arena,
            .ring_bytes = ring_bytes,
            .copies = @intFromPtr(base) != @intFromPtr(arena),
            .checker = .{ .max_message = max_message, .max_length = ring_bytes },
            .bell = a_bell,
        };
    }

    pub fn headerAt(r: *const HeapReader, offset: u32) Header {
        return @bitCast(@atomicLoad(u64, @as(*const u64, @ptrCast(@alignCast(r.arena + offset))), .monotonic));
    }

    pub inline fn load(r: *const HeapReader, offset: u32) Header {
        return @bitCast(@atomicLoad(u64, @as(*const u64, @ptrCast(@alignCast(r.base + offset))), .acquire));
    }

    /// What the pipe told. False: no records come, or they cannot be there.
    fn begin(r: *HeapReader, run: Run) bool {
        if (run.offset == heap.special) return r.acceptSpecial(run);
        if (run.bytes != 0 or run.offset % record.alignment != 0 or run.offset >= r.ring_bytes - heap.tail_bytes) return r.fail(faults.cursor);
        // told when its first record was there: so each look comes to an end
        const h = r.load(run.offset);
        if (!h.published() or h == heap.left) return r.fail(faults.length);
        r.from = run.offset;
        r.limit = run.offset;
        r.following = true;
        return true;
    }

    /// Takes the records that are there; no longer following: the stretch was left at `limit`.
    fn scan(r: *HeapReader) void {
        while (r.limit - r.from < scan_step) {
            const h = r.load(r.limit);
            if (!h.published()) return;
            if (h == heap.left) {
                r.following = r.from < r.limit; // first these
                return;
            }
            if (!r.accept(h, r.limit)) return;
            r.limit += h.bytes();
        }
    }
    const scan_step = 128 << 10;

    /// Checks a record, whose header was loaded once, and copies it where that is asked for.
    fn accept(r: *HeapReader, h: Header, at: u32) bool {
        if (h.bytes() == 0) return r.fail(faults.length);
        // behind each record of a stretch is room for another header
        const wrong = r.checker.check(h, r.ring_bytes - heap.tail_bytes - at);
        if (wrong != faults.none) return r.fail(wrong);
        if (h.kind == .end or h.kind == .marker) return r.fail(faults.kind);
        if (!r.out.take(rangeOf(.{ .offset = at, .bytes = h.bytes() }))) return r.fail(faults.cursor);
        if (r.copies) {
            if (h.kind != .pad) @memcpy((r.arena + at + record.header_bytes)[0..h.size], (r.base + at + record.header_bytes)[0..h.size]);
            @as(*u64, @ptrCast(@alignCast(r.arena + at))).* = @bitCast(h);
        }
        if (h.kind == .first) {
            const total = @as(*const volatile u32, @ptrCast(@alignCast(r.arena + at + record.header_bytes))).*;
            const bad = r.checker.begin(total, h.size);
            if (bad != faults.none) return r.fail(bad);
        }
        return true;
    }

    fn acceptSpecial(r: *HeapReader, run: Run) bool {
        switch (run.bytes) {
            @intFromEnum(record.Kind.end) => r.ended = true,
            @intFromEnum(record.Kind.marker) => r.at_marker = true,
            else => return r.fail(faults.kind),
        }
        return false;
    }

    fn fail(r: *HeapReader, what: u32) bool {
        r.fault = what;
        return false;
    }

    fn lend(r: *HeapReader, run: Run) void {
        r.lent_bytes += run.bytes;
        if (r.lent_count > 0) {
            const last = &r.lent[(r.lent_first + r.lent_count - 1) % max_lent];
            if (last.offset + last.bytes == run.offset) {
                last.bytes += run.bytes;
                return;
            }
        }
        r.lent[(r.lent_first + r.lent_count) % max_lent] = run;
        r.lent_count += 1;
    }

    /// Takes up to `bytes` from the oldest run.
    fn oldest(r: *HeapReader, bytes: u32) Run {
        const run = &r.lent[r.lent_first % max_lent];
        const count = @min(bytes, run.bytes);
        const taken: Run = .{ .offset = run.offset, .bytes = count };
        run.offset += count;
        run.bytes -= count;
        r.lent_bytes -= count;
        if (run.bytes == 0) {
            r.lent_first = (r.lent_first + 1) % max_lent;
            r.lent_count -= 1;
        }
        return taken;
    }

    /// Takes `run` out of what is lent. False: it is not, or the queue has no room for the two halves of a run cut in the middle.
    fn takeOut(r: *HeapReader, run: Run) bool {
        if (run.bytes == 0 or run.bytes % record.alignment != 0 or run.offset % record.alignment != 0) return false;
        for (0..r.lent_count) |i| {
            const at = (r.lent_first + i) % max_lent;
            const one = r.lent[at];
            if (run.offset < one.offset or run.offset - one.offset >= one.bytes) continue;
            const before = run.offset - one.offset;
            if (run.bytes > one.bytes - before) return false;
            const after = one.bytes - before - run.bytes;
            if (before != 0 and after != 0) {
                if (r.lent_count >= max_lent - 1) return false; // one is for the window that waits
                r.shift(i, 1);
                r.lent[(r.lent_first + i + 1) % max_lent] = .{ .offset = run.offset + run.bytes, .bytes = after };
                r.lent[at].bytes = before;
            } else if (before != 0) r.lent[at].bytes = before else if (after != 0) {
                r.lent[at] = .{ .offset = run.offset + run.bytes, .bytes = after };
            } else r.shift(i, -1);
            r.lent_bytes -= run.bytes;
            return true;
        }
        return false;
    }

    /// Makes room behind entry `i`, or closes it.
    fn shift(r: *HeapReader, i: usize, by: i2) void {
        if (by > 0) {
            var k: usize = r.lent_count;
            while (k > i + 1) : (k -= 1) r.lent[(r.lent_first + k) % max_lent] = r.lent[(r.lent_first + k - 1) % max_lent];
            r.lent_count += 1;
        } else {
            for (i + 1..r.lent_count) |k| r.lent[(r.lent_first + k - 1) % max_lent] = r.lent[(r.lent_first + k) % max_lent];
            r.lent_count -= 1;
        }
    }
};
