//! Exports for waiting (include/fable.h, "waiting").

const std = @import("std");
const status = @import("status.zig");
const check = @import("check.zig");
const call = @import("call.zig");
const system = @import("system.zig");
const memory = @import("../sys/memory.zig");
const core = @import("../core/wait.zig");

const Waiter = core.Waiter(system, call.Channel);
const descriptor: u32 = 0x8000_0000;
const max_entries = 4096;

/// Room for this many entries is on the stack; larger sets borrow memory for the call.
const few = 64;

const Scratch = struct {
    items: [few]Waiter.Item = undefined,
    fds: [few * Waiter.fds_per_item + 1]system.PollFd = undefined,
    borrowed: ?*anyopaque = null,
    borrowed_bytes: usize = 0,

    fn waiter(s: *Scratch, count: usize) ?Waiter {
        if (count <= few) return .{ .items = s.items[0..count], .fds = &s.fds };
        const fds = count * Waiter.fds_per_item + 1;
        const bytes = count * @sizeOf(Waiter.Item) + fds * @sizeOf(system.PollFd);
        const address = memory.mapPrivate(bytes);
        if (address < 0) return null;
        s.borrowed = @ptrFromInt(@as(usize, @bitCast(address)));
        s.borrowed_bytes = bytes;
        const items: [*]Waiter.Item = @ptrCast(@alignCast(s.borrowed));
        const rest: [*]system.PollFd = @ptrCast(@alignCast(items + count));
        return .{ .items = items[0..count], .fds = rest[0..fds] };
    }

    fn release(s: *Scratch) void {
        memory.unmap(s.borrowed, s.borrowed_bytes);
    }
};

/// A handle that is no channel of this thread counts as ready: the next call on it says why.
fn fill(waiter: *Waiter, entries: []const core.Entry) void {
    for (waiter.items, entries) |*item, entry| {
        if (entry.want & descriptor != 0) {
            const fd: i32 = @bitCast(entry.handle);
            item.* = .{ .channel = null, .fd = fd, .want = entry.want & 3, .broken = fd < 0 };
            continue;
        }
        var refused: i32 = 0;
        const channel = call.enter(entry.handle, &refused);
        item.* = .{ .channel = channel, .want = entry.want & 3, .broken = channel == null };
    }
}

fn report(waiter: *const Waiter, entries: []core.Entry) void {
    for (waiter.items, entries) |*item, *entry| entry.ready = item.ready;
}

fn entriesOf(pointer: ?[*]core.Entry, count: u32) ?[]core.Entry {
    if (count > max_entries) return null;
    const entries = check.many(core.Entry, pointer, count) orelse return null;
    for (entries) |entry| if (entry.want & 3 == 0) return null;
    return entries;
}

/// A look without spinning or announcing, for channels only: what an event loop does between two tasks of its program, so it has no set to
/// build. Null: there are descriptors in it.
fn glance(entries: []core.Entry) ?i32 {
    for (entries) |entry| if (entry.want & descriptor != 0) return null;
    var count: i32 = 0;
    for (entries) |*entry| {
        var refused: i32 = 0;
        entry.ready = entry.want & 3;
        if (call.enter(entry.handle, &refused)) |channel| {
            channel.bell.awake();
            entry.ready = (if (entry.want & core.readable != 0 and channel.readable()) core.readable else 0) |
                (if (entry.want & core.writable != 0 and channel.writable()) core.writable else 0);
            if (entry.want & core.readable == 0) channel.idle();
        }
        if (entry.ready != 0) count += 1;
    }
    return count;
}

pub export fn fable_poll(pointer: ?[*]core.Entry, count: u32, spin_ns: u32, announce: u32) callconv(.c) i32 {
    const entries = entriesOf(pointer, count) orelse return status.BAD_ARGUMENT;
    const started = call.start();
    if (started != status.OK) return started;
    if (spin_ns == 0 and announce == 0) if (glance(entries)) |ready| return ready;
    var scratch: Scratch = .{};
    var waiter = scratch.waiter(entries.len) orelse return status.ENOSPACE;
    defer scratch.release();
    fill(&waiter, entries);
    const ready = waiter.poll(spin_ns, if (announce != 0) .doorbell else .no);
    report(&waiter, entries);
    return @intCast(ready);
}

pub export fn fable_awake(handle: u32) callconv(.c) i32 {
    var refused: i32 = 0;
    const channel = call.enter(handle, &refused) orelse return refused;
    channel.bell.awake();
    return status.OK;
}

pub export fn fable_wait(pointer: ?[*]core.Entry, count: u32, timeout_ms: i32, spin_ns: u32, wake_fd: i32) callconv(.c) i32 {
    const entries = entriesOf(pointer, count) orelse return status.BAD_ARGUMENT;
    const started = call.start();
    if (started != status.OK) return started;
    var scratch: Scratch = .{};
    var waiter = scratch.waiter(entries.len) orelse return status.ENOSPACE;
    defer scratch.release();
    fill(&waiter, entries);
    const woken = waiter.wait(timeout_ms, spin_ns, wake_fd);
    report(&waiter, entries);
    return switch (woken) {
        .ready => |ready| @intCast(ready),
        .timeout => status.TIMEOUT,
        .waker => 0,
    };
}
