//! The reactor's bookkeeping with a poller made of arrays: what the kernel would do, in the order that hurts.

const std = @import("std");
const reactor = @import("reactor.zig");
const testing = std.testing;

/// One registration per descriptor number; events are handed over by the tests.
const Fake = struct {
    pub const Mutex = struct {
        held: bool = false,
        pub fn lock(mutex: *Mutex) void {
            std.debug.assert(!mutex.held);
            mutex.held = true;
        }
        pub fn unlock(mutex: *Mutex) void {
            mutex.held = false;
        }
    };
    pub const Event = struct { key: u64, ready: u32 };
    pub const readable: u32 = 1;
    pub const writable: u32 = 2;
    pub const hang_up: u32 = 4;
    pub const cannot_poll: isize = -1;
    pub const not_there: isize = -2;
    pub const already_there: isize = -17;
    pub const no_thread: isize = -11;

    var keys: [64]?u64 = @splat(null);
    var rings: u32 = 0;
    var open: i32 = 0;
    var next_fd: i32 = 40;
    var threads: bool = true;

    fn reset() void {
        keys = @splat(null);
        rings = 0;
        open = 0;
        next_fd = 40;
        threads = true;
    }
    fn newFd() i32 {
        open += 1;
        next_fd += 1;
        return next_fd;
    }

    pub fn create() isize {
        return newFd();
    }
    pub fn start(_: anytype, _: ?*anyopaque) bool {
        return threads;
    }
    pub fn wait(_: i32, events: []Event) []Event {
        return events[0..0];
    }
    pub fn keyOf(event: Event) u64 {
        return event.key;
    }
    pub fn readyOf(event: Event) u32 {
        return event.ready;
    }
    pub fn add(_: i32, fd: i32, key: u64, _: u32) isize {
        if (fd == regular_file) return cannot_poll;
        if (fd == bad_file) return -9;
        const place = &keys[@intCast(fd)];
        if (place.* != null) return already_there;
        place.* = key;
        return 0;
    }
    pub fn rearm(_: i32, fd: i32, key: u64, _: u32) isize {
        const place = &keys[@intCast(fd)];
        if (place.* == null) return not_there;
        place.* = key;
        return 0;
    }
    pub fn remove(_: i32, fd: i32) void {
        keys[@intCast(fd)] = null;
    }
    pub fn close(_: i32) void {
        open -= 1;
    }
    pub fn duplicate(_: i32) isize {
        return newFd();
    }
    pub fn bell(out: *[2]i32) isize {
        out.* = .{ newFd(), newFd() };
        return 0;
    }
    pub fn ring(_: i32) void {
        rings += 1;
    }
};

const regular_file = 30;
const bad_file = 31;
const Reactor = reactor.Reactor(Fake);

/// Static, as the real one is: a megabyte.
var subject: Reactor = .{};

fn fresh() u32 {
    Fake.reset();
    subject = .{};
    var bell_fd: i32 = 0;
    return subject.openLoop(&bell_fd).ok;
}

fn fire(fd: u32, ready: u32) void {
    subject.deliver(&.{.{ .key = Fake.keys[fd].?, .ready = ready }});
}

fn taken(loop: u32, expected: []const u32) !void {
    var pairs: [16]u32 = undefined;
    const count = subject.take(loop, &pairs).ok;
    try testing.expectEqualSlices(u32, expected, pairs[0 .. count * 2]);
}

test "an event is taken once and rings once, until it is armed again" {
    const loop = fresh();
    try testing.expectEqual(0, subject.watch(loop, 5, 55, 1).ok);
    try taken(loop, &.{});
    fire(5, 1);
    fire(5, 1); // one shot: the kernel would not, and it does not count
    try testing.expectEqual(1, Fake.rings);
    try taken(loop, &.{ 55, 1 });
    fire(5, 1);
    try taken(loop, &.{});
    _ = subject.again(loop, 5, 56, 3);
    fire(5, 2);
    try taken(loop, &.{ 56, 2 });
    try testing.expectEqual(2, Fake.rings);
}

test "what happened before a forget or a re-arming matches nothing" {
    const loop = fresh();
    _ = subject.watch(loop, 5, 1, 1);
    const old: Fake.Event = .{ .key = Fake.keys[5].?, .ready = 1 };
    try testing.expectEqual(1, subject.forget(loop, 5).ok);
    subject.deliver(&.{old});
    _ = subject.watch(loop, 5, 2, 1); // the same number, another file; the same place in the table
    subject.deliver(&.{old});
    try taken(loop, &.{});
    const armed: Fake.Event = .{ .key = Fake.keys[5].?, .ready = 1 };
    _ = subject.again(loop, 5, 3, 1);
    subject.deliver(&.{armed});
    try taken(loop, &.{});
    fire(5, 1);
    try testing.expectEqual(1, subject.forget(loop, 5).ok); // queued already: gone from the queue too
    try taken(loop, &.{});
    try testing.expectEqual(0, subject.forget(loop, 5).ok);
    subject.deliver(&.{.{ .key = 0xffff_ffff, .ready = 1 }});
}

test "a number closed and re-used without a forget is told to the poller anew" {
    const loop = fresh();
    _ = subject.watch(loop, 5, 1, 1);
    Fake.keys[5] = null; // closing took it out
    _ = subject.again(loop, 5, 2, 1);
    fire(5, 1);
    try taken(loop, &.{ 2, 1 });
    try testing.expectEqual(0, subject.watch(loop, 5, 3, 1).ok);
    fire(5, 1);
    try taken(loop, &.{ 3, 1 });
}

test "regular files are always ready, hang-ups wake who waits for anything" {
    const loop = fresh();
    try testing.expectEqual(0, subject.watch(loop, regular_file, 9, 3).ok);
    try taken(loop, &.{ 9, 3 });
    try taken(loop, &.{});
    _ = subject.again(loop, regular_file, 9, 1);
    try taken(loop, &.{ 9, 1 });
    _ = subject.watch(loop, 6, 8, 2);
    fire(6, 4);
    try taken(loop, &.{ 8, 6 });
    try testing.expectEqual(-9, subject.watch(loop, bad_file, 1, 1).failed);
    try testing.expect(subject.again(loop, bad_file, 1, 1) == .not_watched);
}

test "what does not fit stays queued and rings again" {
    const loop = fresh();
    for (1..6) |fd| {
        _ = subject.watch(loop, @intCast(fd), @intCast(fd * 10), 1);
        fire(@intCast(fd), 1);
    }
    try testing.expectEqual(1, Fake.rings);
    var pairs: [4]u32 = undefined;
    try testing.expectEqual(2, subject.take(loop, &pairs).ok);
    try testing.expectEqualSlices(u32, &.{ 10, 1, 20, 1 }, &pairs);
    try testing.expectEqual(2, Fake.rings);
    _ = subject.forget(loop, 4); // from the middle
    try testing.expectEqual(2, subject.take(loop, &pairs).ok);
    try testing.expectEqualSlices(u32, &.{ 30, 1, 50, 1 }, &pairs);
    try testing.expectEqual(2, Fake.rings);
}

test "two loops watch one descriptor, each with its own token" {
    const first = fresh();
    var bell_fd: i32 = 0;
    const second = subject.openLoop(&bell_fd).ok;
    _ = subject.watch(first, 5, 100, 1);
    _ = subject.watch(second, 5, 200, 1);
    const copy: u32 = @intCast(Fake.next_fd);
    fire(5, 1);
    fire(copy, 1);
    try taken(first, &.{ 100, 1 });
    try taken(second, &.{ 200, 1 });
    const open = Fake.open;
    _ = subject.forget(second, 5);
    try testing.expectEqual(open - 1, Fake.open); // the duplicate
    _ = subject.forget(first, 5);
    try testing.expectEqual(open - 1, Fake.open); // not the caller's
}

test "closing a loop gives everything back and makes its id stale" {
    const loop = fresh();
    const before = Fake.open;
    for (1..4) |fd| _ = subject.watch(loop, @intCast(fd), 0, 1);
    fire(2, 1);
    try testing.expectEqual(0, subject.closeLoop(loop).ok);
    try testing.expectEqual(before - 2, Fake.open);
    for (1..4) |fd| try testing.expect(Fake.keys[fd] == null);
    var pairs: [2]u32 = undefined;
    try testing.expect(subject.take(loop, &pairs) == .bad_loop);
    try testing.expect(subject.closeLoop(loop) == .bad_loop);
    try testing.expect(subject.watch(loop, 1, 0, 1) == .bad_loop);
    var bell_fd: i32 = 0;
    const next = subject.openLoop(&bell_fd).ok;
    try testing.expect(next != loop);
    try testing.expect(subject.forget(loop, 1) == .bad_loop);
}

test "loops end at their limit; without threads there are none" {
    _ = fresh();
    var bell_fd: i32 = 0;
    for (1..reactor.max_loops) |_| _ = subject.openLoop(&bell_fd).ok;
    try testing.expect(subject.openLoop(&bell_fd) == .full);
    Fake.reset();
    subject = .{};
    Fake.threads = false;
    try testing.expectEqual(Fake.no_thread, subject.openLoop(&bell_fd).failed);
    try testing.expectEqual(0, Fake.open);
}

test "thousands of random steps agree with a plain model" {
    const loop = fresh();
    const Model = struct { token: u32 = 0, state: enum { out, armed, queued, idle } = .out };
    var model: [24]Model = @splat(.{});
    var queued: std.ArrayList(u32) = .empty;
    defer queued.deinit(testing.allocator);
    var random = std.Random.DefaultPrng.init(0xfab1e);
    const dice = random.random();
    for (0..20_000) |step| {
        const fd = dice.uintLessThan(u32, model.len);
        const one = &model[fd];
        const token: u32 = @intCast(step + 1);
        switch (dice.uintLessThan(u32, 5)) {
            0 => {
                if (one.state == .queued) dropFrom(&queued, fd);
                _ = subject.watch(loop, @intCast(fd), token, 1).ok;
                one.* = .{ .token = token, .state = .armed };
            },
            1 => if (one.state != .out) {
                if (one.state == .queued) dropFrom(&queued, fd);
                _ = subject.again(loop, @intCast(fd), token, 1).ok;
                one.* = .{ .token = token, .state = .armed };
            },
            2 => if (one.state == .armed) {
                fire(fd, 1);
                one.state = .queued;
                try queued.append(testing.allocator, fd);
            },
            3 => {
                if (one.state == .queued) dropFrom(&queued, fd);
                const was = subject.forget(loop, @intCast(fd)).ok;
                try testing.expectEqual(@intFromBool(one.state != .out), was);
                one.state = .out;
            },
            else => {
                var pair: [2]u32 = undefined;
                const count = subject.take(loop, &pair).ok;
                try testing.expectEqual(@min(1, queued.items.len), count);
                if (count == 0) continue;
                const head = queued.orderedRemove(0);
                try testing.expectEqual(model[head].token, pair[0]);
                model[head].state = .idle;
            },
        }
    }
    try testing.expect(subject.used <= model.len);
}

fn dropFrom(queue: *std.ArrayList(u32), fd: u32) void {
    _ = queue.orderedRemove(std.mem.indexOfScalar(u32, queue.items, fd).?);
}
