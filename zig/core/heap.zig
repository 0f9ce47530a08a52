//! shmem-pipe (paper §2.1): memory that the transmitter shares and allocates like a heap; where a stretch of records begins goes through a
//! pipe, 8 bytes each, and what was read comes back through another, in any order.
//!
//!     heap     ├─ record ─ record ─ 0 ···┤     ├─ record ─ MARKER ┤       a stretch is claimed for the records to come, and grows while
//!     pipe     offset,0 → offset,0 →                                      what lies behind it is free; left, its unused end is free again
//!     back     ← offset,bytes
//!
//! In a stretch records publish themselves by their headers, as in a ring, and the same code writes and reads them: the pipe is only needed
//! where one begins. A MARKER in memory says that what follows is told by the pipe. END and the MARKER of the path take no memory: they are
//! runs at an offset that no heap has.

const std = @import("std");
const record = @import("../layout/record.zig");
const control = @import("../layout/control.zig");
const bell = @import("bell.zig");
const faults = @import("fault.zig");
const Writer = @import("record_writer.zig").Writer;
const HeapMap = @import("heap_map.zig").HeapMap;
const granule = @import("heap_map.zig").granule;
const Header = record.Header;

pub const Run = extern struct { offset: u32, bytes: u32 };

/// Offset of a run without memory; `bytes` is then the kind of its record. Of the beginning of a stretch `bytes` is zero.
pub const special: u32 = 0xffff_ffff;
/// Runs per write: pipes take so many bytes whole or not at all.
pub const batch = 4096 / @sizeOf(Run);
/// A stretch is this part of the heap, or of a small heap some pages, unless more is needed: each one is a call to the kernel at least.
const stretch_part = 16;
const stretch_bytes = 16 << 10;
/// Publications before what came back is looked at in any case, so that the pipe back never fills.
const publications_per_look = 1024;
/// Behind the records of a stretch: the zeroed next header, or the MARKER.
pub const tail_bytes = record.header_bytes;
/// The end of a stretch.
pub const left: Header = .of(.marker, 0, record.header_bytes);

/// Runs that wait for their pipe.
pub const Queue = struct {
    runs: [batch]Run = undefined,
    count: u32 = 0,

    /// False: full.
    pub fn add(q: *Queue, run: Run) bool {
        if (q.count > 0 and run.offset != special and run.bytes != 0) {
            const last = &q.runs[q.count - 1];
            if (last.offset != special and last.offset +% last.bytes == run.offset) {
                last.bytes += run.bytes;
                return true;
            }
        }
        if (q.count == batch) return false;
        q.runs[q.count] = run;
        q.count += 1;
        return true;
    }

    /// True: the queue is empty now, and was not before.
    pub fn flush(q: *Queue, fd: i32, comptime write: fn (i32, [*]const u8, usize) isize) bool {
        if (q.count == 0) return false;
        const bytes = std.mem.sliceAsBytes(q.runs[0..q.count]);
        if (write(fd, bytes.ptr, bytes.len) != @as(isize, @intCast(bytes.len))) return false;
        q.count = 0;
        return true;
    }
};

pub fn HeapOut(comptime Sys: type) type {
    return struct {
        const Self = @This();

        writer: Writer,
        map: HeapMap,
        /// Where the stretch in use ends; 0: there is none.
        stretch_end: u32 = 0,
        /// The reader was told where it begins.
        announced: bool = false,
        fd: i32 = -1,
        /// The reading end too, so that a reader that dies is no SIGPIPE.
        kept_fd: i32 = -1,
        back_fd: i32 = -1,
        queue: *Queue,
        /// What came back was read into it: an array of each call's own would be filled by its safety checks first.
        back: *[batch]Run,
        publications: u32 = 0,
        /// How often the reader has said that something comes back, and up to which time it was looked at.
        returns_at: *const u64 = &bell.nobody.released_even,
        returns: u64 = 0,

        /// What it needs beside the heap, and behind the map.
        const Scratch = struct { queue: Queue, back: [batch]Run };
        pub fn scratchBytes(heap_bytes: u32) usize {
            return HeapMap.bytesFor(heap_bytes) + @sizeOf(Scratch);
        }

        pub fn init(writer: Writer, scratch: [*]u8) Self {
            const behind: *Scratch = @ptrCast(@alignCast(scratch + HeapMap.bytesFor(writer.ring_bytes)));
            return .{
                .writer = writer,
                .map = .{ .words = @ptrCast(@alignCast(scratch)), .size = writer.ring_bytes / granule },
                .queue = &behind.queue,
                .back = &behind.back,
            };
        }

        /// Makes it usable where it lies: the writer asks it for stretches.
        pub fn begin(t: *Self) void {
            t.writer.growth = .{ .context = t, .grow = grow, .fits = fits };
            t.writer.limit = 0;
            t.writer.position = 0;
            t.writer.published = 0;
            _ = t.moveTo(stretchOf(t.writer.ring_bytes));
        }

        fn stretchOf(heap_bytes: u32) u32 {
            return @min(heap_bytes / 4, @max(heap_bytes / stretch_part, stretch_bytes));
        }

        fn grow(context: *anyopaque, need: u32) bool {
            const t: *Self = @ptrCast(@alignCast(context));
            t.flushRun();
            if (t.queue.count >= batch - 4) return false;
            if (t.moveTo(need)) return true;
            t.acknowledge();
            return t.moveTo(need);
        }

        fn fits(context: *anyopaque, need: u32) bool {
            const t: *Self = @ptrCast(@alignCast(context));
            t.acknowledge();
            const all = granules(need + tail_bytes);
            if (t.stretch_end != 0 and t.map.freeBehind(t.stretch_end / granule, all -| t.unused() / granule)) return true;
            return t.map.find(all, all) != null;
        }

        fn granules(bytes: u32) u32 {
            return (bytes + granule - 1) / granule;
        }

        /// Bytes of the stretch in use behind its records.
        fn unused(t: *const Self) u32 {
            return t.stretch_end - (@as(u32, @truncate(t.writer.position)) & t.writer.mask);
        }

        /// Room for `need` bytes of records: more of the stretch in use, or another one.
        fn moveTo(t: *Self, need: u32) bool {
            const w = &t.writer;
            if (t.extend(need)) return true;
            const least = granules(need + tail_bytes);
            const range = t.map.find(least, @max(least, stretchOf(w.ring_bytes) / granule)) orelse return false;
            t.map.claim(range);
            t.leave();
            t.stretch_end = (range.first + range.count) * granule;
            const lap = (w.position / w.ring_bytes + 1) * w.ring_bytes;
            w.position = lap + range.first * granule;
            w.published = w.position;
            w.limit = lap + t.stretch_end - tail_bytes;
            return true;
        }

        /// What lies behind the stretch is claimed too: nobody has to be told.
        fn extend(t: *Self, need: u32) bool {
            const w = &t.writer;
            if (t.stretch_end == 0) return false;
            const least = granules(need + tail_bytes) -| t.unused() / granule;
            const range = t.map.rangeBehind(t.stretch_end / granule, @max(least, 1), @max(least, stretchOf(w.ring_bytes) / granule)) orelse return false;
            t.map.claim(range);
            t.stretch_end += range.count * granule;
            w.limit += range.count * granule;
            return true;
        }

        /// Says that the records go on elsewhere, and gives the rest of the stretch back.
        fn leave(t: *Self) void {
            const w = &t.writer;
            if (t.stretch_end == 0) return;
            var first = t.stretch_end - t.unused();
            if (t.announced) {
                @atomicStore(u64, w.headerAt(w.position), @bitCast(left), .release);
                first += tail_bytes;
            }
            if (first < t.stretch_end) _ = t.map.giveBack(.{ .first = first / granule, .count = (t.stretch_end - first) / granule });
            t.stretch_end = 0;
            t.announced = false;
            w.limit = w.position;
        }

        /// What was committed is published.
        fn flushRun(t: *Self) void {
            const w = &t.writer;
            if (w.held == 0) return;
            const from = w.published;
            w.publishQuietly();
            t.tellOf(from);
        }

        /// Records were published from `from` on: the reader finds them by itself, unless a stretch begins there.
        fn tellOf(t: *Self, from: u64) void {
            const w = &t.writer;
            if (t.announced) w.bell.notify(control.sleep_data) else {
                t.announced = true;
                t.say(.{ .offset = @as(u32, @truncate(from)) & w.mask, .bytes = 0 });
            }
            t.publications += 1;
            if (t.publications < publications_per_look) return;
            t.publications = 0;
            t.acknowledge();
        }

        fn say(t: *Self, run: Run) void {
            _ = t.queue.add(run); // there is room: no stretch is begun without
            _ = t.pump();
        }

        pub fn publish(t: *Self, bytes: u32, first: Header, messages: u32, payload_bytes: u32) bool {
            const w = &t.writer;
            const from = w.published;
            if (w.published +% bytes > w.limit or t.queue.count >= batch - 2) return false;
            if (!w.publishBatch(bytes, first, messages, payload_bytes, true)) return false;
            t.tellOf(from);
            return true;
        }
        pub fn send(t: *Self, message: []const u8) Writer.Sent {
            if (t.queue.count >= batch - 2) {
                _ = t.pump();
                if (t.queue.count >= batch - 2) return .no_space;
            }
            return t.writer.send(message, t, flush);
        }
        pub fn flush(t: *Self) void {
            t.flushRun();
        }
        pub fn end(t: *Self) void {
            t.flushRun();
            t.leave();
            t.writer.bell.own.end_position = t.writer.position;
            t.say(.{ .offset = special, .bytes = @intFromEnum(record.Kind.end) });
        }
        pub fn marker(t: *Self) void {
            t.flushRun();
            t.leave();
            t.say(.{ .offset = special, .bytes = @intFromEnum(record.Kind.marker) });
        }
        pub fn pump(t: *Self) u32 {
            if (t.queue.flush(t.fd, Sys.writePipe)) t.writer.bell.notifyFenced(control.sleep_data);
            return t.queue.count * @sizeOf(Run);
        }
        pub fn pending(t: *const Self) bool {
            return t.queue.count != 0;
        }
        pub fn broken(_: *const Self) bool {
            return false;
        }
        pub fn fault(t: *const Self) u32 {
            return t.writer.fault;
        }
        /// Takes back what was read. Only what is out can come back.
        pub fn acknowledge(t: *Self) void {
            const seen = @atomicLoad(u64, t.returns_at, .acquire);
            if (seen == t.returns) return;
            t.returns = seen;
            while (t.writer.fault == faults.none) {
                const bytes = std.mem.sliceAsBytes(t.back);
                const got = Sys.readPipe(t.back_fd, bytes.ptr, bytes.len);
                if (got <= 0) return;
                const count = @as(usize, @intCast(got)) / @sizeOf(Run);
                for (t.back[0..@min(count, batch)]) |run| {
                    const whole = run.offset % granule == 0 and run.bytes % granule == 0;
                    if (whole and !t.own(run) and t.map.giveBack(.{ .first = run.offset / granule, .count = run.bytes / granule })) continue;
                    t.writer.fault = faults.cursor;
                    return;
                }
                if (count < batch) return;
            }
        }
        /// Part of `run` was never published: the rest of the stretch in use.
        fn own(t: *const Self, run: Run) bool {
            if (t.stretch_end == 0) return false;
            const first = @as(u32, @truncate(t.writer.published)) & t.writer.mask;
            return run.offset < t.stretch_end and @as(u64, run.offset) + run.bytes > first;
        }
        pub fn stirred(t: *const Self) bool {
            return @atomicLoad(u64, t.returns_at, .monotonic) != t.returns;
        }
        pub fn arrived(_: *const Self) bool {
            return true;
        }
        pub fn close(t: *Self) void {
            inline for (.{ "fd", "kept_fd", "back_fd" }) |name| {
                Sys.close(@field(t, name));
                @field(t, name) = -1;
            }
            Sys.unmap(@ptrCast(t.map.words), scratchBytes(t.writer.ring_bytes));
        }
    };
}
