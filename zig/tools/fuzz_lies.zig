//! What a traitor does with the paths it has: it knows its own end's memory and descriptors, and uses them as no honest end would.

const std = @import("std");
const fable = @import("fable");
const linux = std.os.linux;
const control = fable.layout.control;
const record = fable.layout.record;
const calls = @import("fuzz_calls.zig");
const descriptors = @import("fuzz_descriptors.zig");
const links = @import("fuzz_link.zig");
const Traitor = @import("fuzz_traitor.zig").Traitor;
const Writer = fable.core.Writer;
const system = fable.system;

const heap = fable.core.heap;
const Run = heap.Run;

pub fn tell(self: *Traitor) void {
    const random = self.random;
    const c = calls.channelOf(self.handle);
    const words = own(self);
    switch (random.uintLessThan(u32, 14)) {
        0, 1, 2, 3 => link(self),
        4, 5 => written(self),
        6, 7 => returned(self),
        8 => cursors(self),
        9 => state(self),
        10 => marker(self),
        11 => lose(self),
        12 => if (random.uintLessThan(u32, 8) == 0) self.flipper.start(self),
        else => switch (random.uintLessThan(u32, 4)) {
            0 => words.sleep_word = random.int(u32),
            1 => words.write_transport = random.int(u32),
            2 => words.rung_word = random.int(u32),
            else => for (0..random.uintLessThan(u32, 64)) |_| system.ring(c.doorbell),
        },
    }
    self.descriptors.babble();
}

fn link(self: *Traitor) void {
    const c = calls.channelOf(self.handle);
    const s = &c.epochs;
    const random = self.random;
    const end: links.Link = .{ .random = random, .fd = c.link, .doorbell = c.doorbell, .control = c.bell.own, .descriptors = &self.descriptors };
    const sent: u64 = switch (c.out.transport) {
        .stream => |*t| t.acked_bytes,
        .ring, .heap => 0,
    };
    const known: links.Knowledge = .{
        // of its own offers, or of the victim's
        .attempt = if (random.boolean()) s.attempt else s.prepared_attempt,
        .epoch = c.out.epoch,
        .received = sent,
        .ring_bytes = c.out.arena.size,
    };
    for (0..random.uintAtMost(u32, 2) + 1) |_| end.lie(known);
}

/// Into the path that the victim reads.
fn written(self: *Traitor) void {
    const random = self.random;
    const c = calls.channelOf(self.handle);
    const w = c.writer();
    switch (c.out.transport) {
        .ring => {
            const at = @as(u32, @truncate(w.published)) & w.mask;
            const word: *u64 = @ptrCast(@alignCast(w.base + if (random.uintLessThan(u32, 4) == 0) random.uintLessThan(u32, w.ring_bytes / 8) * 8 else at));
            @atomicStore(u64, word, header(random, w.ring_bytes), .release);
        },
        .stream => |*t| {
            var bytes: [1024]u8 = undefined;
            random.bytes(&bytes);
            if (random.boolean()) std.mem.writeInt(u64, bytes[0..8], header(random, w.ring_bytes), .little);
            const count = random.uintAtMost(usize, bytes.len);
            _ = if (t.medium == .socket) system.send(t.fd, &bytes, count) else system.writePeersPipe(t.fd, &bytes, count);
            own(self).streamSent(c.out.epoch).* = if (random.boolean()) t.sent_bytes + count else random.int(u64);
        },
        .heap => |*t| {
            for (0..random.uintAtMost(u32, 4)) |_| {
                // where the victim looks for the next record: none that can be, or that the pipe tells where
                if (random.boolean()) _ = put(w, @as(u32, @truncate(w.position)) & w.mask, if (random.boolean()) heap.left else @bitCast(header(random, w.ring_bytes)));
                const run = heapRun(random, t);
                const count: usize = if (random.uintLessThan(u32, 8) == 0) random.uintAtMost(usize, 8) else 8;
                _ = system.writePeersPipe(t.fd, @ptrCast(&run), count);
            }
        },
    }
}

fn heapRun(random: std.Random, t: anytype) Run {
    const w = &t.writer;
    const size = w.ring_bytes;
    const at = random.uintLessThan(u32, size / 8) * 8;
    return switch (random.uintLessThan(u32, 16)) {
        0 => .{ .offset = random.int(u32), .bytes = if (random.boolean()) 0 else random.int(u32) },
        1 => .{ .offset = heap.special, .bytes = random.uintLessThan(u32, 9) },
        2 => .{ .offset = at + 4, .bytes = 0 },
        3 => .{ .offset = at, .bytes = 0 },
        // whole records: of nothing, over everything, or where something lies already
        4 => put(w, 0, .of(.pad, 0, size - heap.tail_bytes * random.uintLessThan(u32, 2))),
        5 => put(w, at, .of(.pad, 0, size - at)),
        6 => .{ .offset = @as(u32, @truncate(w.published)) & w.mask, .bytes = 0 },
        7 => put(w, at, if (random.boolean()) heap.left else .of(.pad, 0, 8)),
        else => put(w, lent(random, t) orelse at, .of(.pad, 0, 8)),
    };
}

/// Somewhere in what was published and has not come back: the victim's program may be looking at it.
fn lent(random: std.Random, t: anytype) ?u32 {
    const unused = @as(u32, @truncate(t.writer.published)) & t.writer.mask;
    for (0..64) |_| {
        const granule = random.uintLessThan(u32, t.map.size);
        const at = granule * 8;
        if (t.map.words[granule / 64] >> @intCast(granule % 64) & 1 == 0 or (at >= unused and at < t.stretch_end)) continue;
        return at;
    }
    return null;
}

/// A stretch that begins with `first`.
fn put(w: *const Writer, at: u32, first: record.Header) Run {
    @atomicStore(u64, @as(*u64, @ptrCast(@alignCast(w.base + at))), @bitCast(first), .release);
    return .{ .offset = at, .bytes = 0 };
}

fn header(random: std.Random, ring_bytes: u32) u64 {
    if (random.uintLessThan(u32, 4) == 0) return random.int(u64);
    const size = random.uintLessThan(u32, ring_bytes / 8);
    return @bitCast(record.Header.of(@enumFromInt(random.uintLessThan(u8, 9)), size, record.header_bytes + (size + 7 & ~@as(u32, 7))));
}

/// Into the way back of the path that the victim writes.
fn returned(self: *Traitor) void {
    const random = self.random;
    const c = calls.channelOf(self.handle);
    switch (c.in.transport) {
        .ring => own(self).released(c.in.epoch).* +%= 8 * random.uintLessThan(u64, 512) -% 1024,
        .stream => |*t| {
            const where = t.reader.whole_bytes +% 8 * random.uintLessThan(u64, 64) -% 256;
            own(self).released(c.in.epoch).* = where;
            if (t.acks_fd >= 0) _ = system.writePeersPipe(t.acks_fd, @ptrCast(&where), 1 + random.uintLessThan(usize, 8));
        },
        .heap => |*t| {
            const size = t.reader.ring_bytes;
            const run: Run = switch (random.uintLessThan(u32, 4)) {
                0 => .{ .offset = random.int(u32), .bytes = random.int(u32) },
                1 => .{ .offset = 0, .bytes = size },
                2 => .{ .offset = heap.special, .bytes = 7 },
                else => .{ .offset = random.uintLessThan(u32, size / 8) * 8, .bytes = 8 * random.uintLessThan(u32, 16) },
            };
            for (0..random.uintAtMost(u32, 2)) |_| _ = system.writePeersPipe(t.back_fd, @ptrCast(&run), 8);
            t.returns_to.* +%= 1 + random.uintLessThan(u64, 2); // else nobody looks
        },
    }
}

fn cursors(self: *Traitor) void {
    const random = self.random;
    const epoch = random.int(u32);
    const value = switch (random.uintLessThan(u32, 3)) {
        0 => random.int(u64),
        1 => 8 * random.uintLessThan(u64, 8192),
        else => calls.channelOf(self.handle).writer().published,
    };
    (if (random.boolean()) own(self).released(epoch) else own(self).streamSent(epoch)).* = value;
}

fn state(self: *Traitor) void {
    const random = self.random;
    const words = own(self);
    switch (random.uintLessThan(u32, 6)) {
        0 => words.state = random.int(u32),
        1 => words.state = random.uintLessThan(u32, 4),
        2 => words.state_code = random.int(u32),
        3 => words.end_position = random.int(u64),
        else => words.state = 0,
    }
}

/// A marker that nothing was agreed about, or one in the middle of a message whose rest never comes.
fn marker(self: *Traitor) void {
    const c = calls.channelOf(self.handle);
    if (c.write_closed or c.writer().held != 0) return;
    switch (self.random.uintLessThan(u32, 3)) {
        0 => switch (c.out.transport) {
            inline else => |*t| t.marker(),
        },
        1 => {
            c.writer().sending = 0;
            c.writer().sending_total = 0;
            self.unsent = null;
        },
        else => c.epochs.attempt +%= 1,
    }
}

/// A path is gone, or does not do what it is for. The numbers stay taken: this process is the victim's too.
fn lose(self: *Traitor) void {
    const c = calls.channelOf(self.handle);
    const random = self.random;
    const fd = switch (random.uintLessThan(u32, 3)) {
        0 => c.link,
        1 => switch (c.in.transport) {
            .ring => -1,
            .stream => |*t| if (random.boolean()) t.fd else t.acks_fd,
            .heap => |*t| if (random.boolean()) t.fd else t.back_fd,
        },
        else => switch (c.out.transport) {
            .ring => -1,
            .stream => |*t| if (random.boolean()) t.fd else t.acks_fd,
            .heap => |*t| if (random.boolean()) t.fd else t.back_fd,
        },
    };
    if (fd < 0) return;
    if (random.boolean()) {
        if (ownReading(c, fd)) return; // it alone would wait there
        _ = linux.fcntl(fd, linux.F.SETFL, if (random.boolean()) 0 else @as(usize, 0o4000));
        return;
    }
    const other = descriptors.open("/dev/null");
    _ = linux.dup3(other, fd, 0o2000000);
    descriptors.close(other);
}

/// A description that the other end does not share.
fn ownReading(c: *calls.Channel, fd: i32) bool {
    return switch (c.in.transport) {
        .stream => |*t| t.own_fd and t.fd == fd,
        .ring, .heap => false,
    };
}

fn own(self: *Traitor) *volatile control.Control {
    return calls.channelOf(self.handle).bell.own;
}

/// Words of the shared memory change while the victim reads them, valid and invalid in turn.
pub const Flipper = struct {
    thread: ?std.Thread = null,
    ending: std.atomic.Value(bool) = .init(false),
    /// A mapping of its own: the end's may go away.
    memory: ?[*]align(4096) volatile u8 = null,
    size: u32 = 0,
    seed: u64 = 0,

    fn start(f: *Flipper, self: *Traitor) void {
        const c = calls.channelOf(self.handle);
        if (f.thread != null or !c.out.kind.memory()) return;
        const size = c.out.arena.size;
        const again = linux.mremap(@ptrCast(c.out.arena.address.?), 0, size, .{ .MAYMOVE = true }, null);
        if (descriptors.bad(again)) return;
        f.memory = @ptrFromInt(again);
        f.size = size;
        f.seed = self.random.int(u64);
        f.thread = std.Thread.spawn(.{ .stack_size = 64 << 10 }, run, .{f}) catch null;
    }

    fn run(f: *Flipper) void {
        var prng: std.Random.DefaultPrng = .init(f.seed);
        const random = prng.random();
        while (!f.ending.load(.monotonic)) {
            const word: *volatile u64 = @ptrCast(@alignCast(f.memory.? + random.uintLessThan(u32, f.size / 8) * 8));
            word.* = header(random, f.size);
        }
    }

    pub fn stop(f: *Flipper) void {
        f.ending.store(true, .monotonic);
        if (f.thread) |thread| thread.join();
        if (f.memory) |memory| _ = linux.munmap(@ptrCast(@volatileCast(memory)), f.size);
    }
};
