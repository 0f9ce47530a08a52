//! epoll as the reactor wants it: one-shot sources with a 64-bit key each, doorbells, duplicates.

const std = @import("std");
const linux = std.os.linux;
const os = @import("os.zig");
const EPOLL = linux.EPOLL;

const result = os.result;

const threads = @import("threads.zig");

pub const Mutex = @import("mutex.zig").Mutex;
pub const Event = linux.epoll_event;

pub const readable: u32 = 1;
pub const writable: u32 = 2;
pub const hang_up: u32 = 4;

/// Answers of `add` and `rearm` that are not failures of ours.
pub const cannot_poll = os.failure(.PERM); // regular files: always ready
pub const not_there = os.failure(.NOENT);
pub const already_there = os.failure(.EXIST);

pub fn create() isize {
    return result(linux.epoll_create1(linux.EPOLL.CLOEXEC));
}

pub fn add(poller: i32, fd: i32, key: u64, wanted: u32) isize {
    return control(poller, EPOLL.CTL_ADD, fd, key, wanted);
}

pub fn rearm(poller: i32, fd: i32, key: u64, wanted: u32) isize {
    return control(poller, EPOLL.CTL_MOD, fd, key, wanted);
}

pub fn remove(poller: i32, fd: i32) void {
    _ = linux.epoll_ctl(poller, EPOLL.CTL_DEL, fd, null);
}

fn control(poller: i32, operation: u32, fd: i32, key: u64, wanted: u32) isize {
    var events: u32 = EPOLL.ONESHOT;
    if (wanted & readable != 0) events |= EPOLL.IN | EPOLL.RDHUP;
    if (wanted & writable != 0) events |= EPOLL.OUT;
    var event: Event = .{ .events = events, .data = .{ .u64 = key } };
    return result(linux.epoll_ctl(poller, operation, fd, &event));
}

/// Sleeps until something happened. Never fails: an interrupted wait is an empty one.
pub fn wait(poller: i32, events: []Event) []Event {
    const rc = result(linux.epoll_wait(poller, events.ptr, @intCast(events.len), -1));
    return events[0..@intCast(@max(rc, 0))];
}

pub fn keyOf(event: Event) u64 {
    return event.data.u64;
}

pub fn readyOf(event: Event) u32 {
    var ready: u32 = 0;
    if (event.events & (EPOLL.IN | EPOLL.RDHUP) != 0) ready |= readable;
    if (event.events & EPOLL.OUT != 0) ready |= writable;
    if (event.events & (EPOLL.HUP | EPOLL.ERR) != 0) ready |= hang_up;
    return ready;
}

pub const close = os.close;

pub fn duplicate(fd: i32) isize {
    return os.duplicate(fd, 3);
}

pub const no_thread = os.failure(.AGAIN);

/// A thread that ends with the process.
pub fn start(entry: *const fn (?*anyopaque) callconv(.c) ?*anyopaque, context: ?*anyopaque) bool {
    const thread = threads.Thread.start(entry, context) orelse return false;
    thread.detach();
    threads.keepLoaded();
    return true;
}

pub fn bell(out: *[2]i32) isize {
    return result(linux.socketpair(linux.AF.UNIX, linux.SOCK.STREAM | linux.SOCK.NONBLOCK | linux.SOCK.CLOEXEC, 0, out));
}

/// A full doorbell counts as rung.
pub fn ring(fd: i32) void {
    _ = linux.sendto(fd, "!", 1, linux.MSG.DONTWAIT | linux.MSG.NOSIGNAL, null, 0);
}
