//! Exports for the reactor: event loops that learn of ready descriptors from one native thread.

const epoll = @import("../sys/epoll.zig");
const Reactor = @import("../core/reactor.zig").Reactor;
const Result = @import("../core/reactor.zig").Result;
const call = @import("call.zig");
const answer = @import("answer.zig");
const check = @import("check.zig");
const status = @import("status.zig");

var reactor: Reactor(epoll) = .{};

/// UNSUPPORTED when the host has no threads to give.
pub export fn fable_loop_new(doorbell_fd: ?*anyopaque) callconv(.c) i32 {
    const out = check.one(i32, doorbell_fd) orelse return status.BAD_ARGUMENT;
    const started = call.start(); // FORKED in a forked child: it has the tables, but not the thread
    if (started < 0) return started;
    const made = reactor.openLoop(out);
    if (made == .failed and made.failed == epoll.no_thread) return status.UNSUPPORTED;
    return say(made);
}

pub export fn fable_loop_watch(loop: u32, fd: i32, token: u32, events: u32) callconv(.c) i32 {
    const started = call.start();
    if (started < 0) return started;
    if (fd < 0 or !areEvents(events)) return status.BAD_ARGUMENT;
    return say(reactor.watch(loop, fd, token, events));
}

pub export fn fable_loop_again(loop: u32, fd: i32, token: u32, events: u32) callconv(.c) i32 {
    const started = call.start();
    if (started < 0) return started;
    if (fd < 0 or !areEvents(events)) return status.BAD_ARGUMENT;
    return say(reactor.again(loop, fd, token, events));
}

pub export fn fable_loop_forget(loop: u32, fd: i32) callconv(.c) i32 {
    const started = call.start();
    if (started < 0) return started;
    return say(reactor.forget(loop, fd));
}

pub export fn fable_loop_take(loop: u32, out: ?*anyopaque, capacity: u32) callconv(.c) i32 {
    const started = call.start();
    if (started < 0) return started;
    if (capacity == 0 or capacity > 1 << 20) return status.BAD_ARGUMENT;
    const pairs = check.many(u32, out, 2 * capacity) orelse return status.BAD_ARGUMENT;
    return say(reactor.take(loop, pairs));
}

pub export fn fable_loop_close(loop: u32) callconv(.c) i32 {
    const started = call.start();
    if (started < 0) return started;
    return say(reactor.closeLoop(loop));
}

fn areEvents(events: u32) bool {
    return events != 0 and events & ~(epoll.readable | epoll.writable) == 0;
}

fn say(result: Result) i32 {
    return switch (result) {
        .ok => |value| @intCast(value),
        .bad_loop => status.BAD_HANDLE,
        .not_watched => status.BAD_ARGUMENT,
        .full => status.TABLE_FULL,
        .failed => |rc| answer.plain(rc),
    };
}
