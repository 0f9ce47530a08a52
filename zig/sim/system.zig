//! The system calls that the channel is given, answered by the simulated kernel. Before and after each of them an end may give way to the
//! other, or die.

const std = @import("std");
const linux = std.os.linux;
const choice = @import("choice.zig");
const fibers = @import("fibers.zig");
const flows = @import("flows.zig");
const kernel = @import("kernel.zig");
const regions = @import("regions.zig");
const report = @import("report.zig");
const failure = flows.failure;

pub const PollFd = linux.pollfd;
pub const POLLIN: i16 = linux.POLL.IN;
pub const POLLOUT: i16 = linux.POLL.OUT;
pub const POLLHUP: i16 = linux.POLL.HUP;
pub const POLLERR: i16 = linux.POLL.ERR | linux.POLL.NVAL;
pub const again = flows.again;
const F = linux.F;
pub const seals_fixed_size: u32 = F.SEAL_SHRINK | F.SEAL_GROW | F.SEAL_SEAL;
pub const seals_read_only: u32 = seals_fixed_size | F.SEAL_FUTURE_WRITE;

/// One system call in so many gives way; 0: none.
pub var interleaving: u32 = 0;

/// Calls since the fiber was resumed, and how many make a turn that goes on by itself.
pub var turn_calls: u32 = 0;
const long_turn = 4000;
/// The call of a turn at which the other end runs; 0: none.
pub var give_way_after: u32 = 0;

/// Called when an end is about to die, while its memory is still there.
pub var dying: *const fn (which: u8) void = undefined;

/// A place where the other end may run, and where a killed end stops.
fn point(comptime name: []const u8) void {
    const process = &kernel.processes[kernel.self()];
    process.calls += 1;
    turn_calls += 1;
    if (turn_calls == give_way_after and give_way_after > 0) fibers.giveWay();
    if (turn_calls > long_turn) fibers.giveWay(); // it waits for something in a hot loop
    if (process.calls >= process.last_call) {
        report.trace("killed at {s}", .{name});
        dying(kernel.self());
        kernel.kill(kernel.self());
        while (true) fibers.giveWay();
    }
    if (interleaving != 0 and choice.branch(interleaving) == interleaving - 1) fibers.giveWay();
}

fn answer(comptime name: []const u8, value: isize) isize {
    report.trace("    {s} = {d}", .{ name, value });
    point(name ++ ", done");
    return value;
}

/// A call that needs memory or a descriptor may be refused.
fn refused() bool {
    if (kernel.failures == 0 or !choice.once(kernel.failures)) return false;
    kernel.failed = true;
    return true;
}

// ---- memory ----

pub fn create(_: [*:0]const u8, size: u32) isize {
    point("create");
    if (refused()) return answer("create", failure(.NOMEM));
    return answer("create", kernel.makeRegion(size));
}

pub fn mapShared(fd: i32, size: u32, writable: bool) isize {
    point("map");
    if (refused()) return answer("map", failure(.NOMEM));
    const file = kernel.fileHere(fd);
    if (file.kind != .region) return answer("map", failure(.NODEV));
    const address = regions.mapShared(kernel.self(), file.which, size, writable);
    point("map, done");
    return address;
}

pub fn mapPrivate(size: usize) isize {
    point("map private");
    if (refused()) return answer("map private", failure(.NOMEM));
    const address = regions.mapPrivate(kernel.self(), size);
    point("map private, done");
    return address;
}

pub fn unmap(address: ?*const anyopaque, size: usize) void {
    const at = address orelse return;
    point("unmap");
    kernel.unmap(regions.find(kernel.self(), @intFromPtr(at), size) orelse report.fail("{d} bytes unmapped that were not mapped", .{size}));
}

pub fn populate(_: [*]u8, _: u32) isize {
    point("populate");
    return if (refused()) answer("populate", failure(.NOMEM)) else 0;
}

/// A machine of one node.
pub fn nodeOfCpu(_: u32) u32 {
    return 0;
}

pub fn homeOf(_: [*]const u8, _: usize) u32 {
    return 0;
}

pub fn prefer(_: [*]u8, _: usize, _: u32) void {}

pub fn readAt(fd: i32, bytes: [*]u8, count: usize, offset: u32) isize {
    point("read at");
    const file = kernel.fileHere(fd);
    if (file.kind != .region) report.fail("reading at a position of a {s}", .{@tagName(file.kind)});
    const region = &regions.regions[file.which];
    const moved = @min(count, region.size -| offset);
    @memcpy(bytes[0..moved], region.memory[offset..][0..moved]);
    return answer("read at", @intCast(moved));
}

pub fn seal(fd: i32, seals: u32) isize {
    point("seal");
    const file = kernel.fileHere(fd);
    const region = &regions.regions[file.which];
    if (file.kind != .region or region.seals & F.SEAL_SEAL != 0) return answer("seal", failure(.PERM));
    region.seals |= seals;
    return answer("seal", 0);
}

pub fn isRegion(fd: i32, size: u32, seals: u32) bool {
    point("region?");
    const file = kernel.fileHere(fd);
    if (file.kind != .region) return false;
    const region = &regions.regions[file.which];
    return region.size == size and region.seals & seals == seals;
}

pub fn processId() u32 {
    return 1000 + @as(u32, kernel.self());
}

// ---- sockets and pipes ----

pub fn pair(out: *[2]i32) isize {
    return streams(false, out);
}

pub fn tcpPair(out: *[2]i32, _: bool) isize {
    return streams(true, out);
}

fn streams(tcp: bool, out: *[2]i32) isize {
    point("pair");
    if (refused()) return answer("pair", failure(.MFILE));
    kernel.makeStreams(tcp, out);
    return answer("pair", 0);
}

pub fn packets(out: *[2]i32) isize {
    point("packets");
    if (refused()) return answer("packets", failure(.MFILE));
    kernel.makeLink(out);
    return answer("packets", 0);
}

pub fn pipePair(out: *[2]i32) isize {
    point("pipe");
    if (refused()) return answer("pipe", failure(.MFILE));
    kernel.makePipe(out);
    return answer("pipe", 0);
}

pub fn duplicate(fd: i32) isize {
    point("duplicate");
    if (refused()) return answer("duplicate", failure(.MFILE));
    return answer("duplicate", kernel.duplicate(fd));
}

pub fn close(fd: i32) void {
    if (fd < 0) return;
    point("close");
    report.trace("    close {d} ({s})", .{ fd, kernel.describeFile(fd, kernel.self()) });
    kernel.close(kernel.self(), fd);
}

pub fn isStream(fd: i32) bool {
    const file = kernel.fileHere(fd);
    return file.kind == .stream and !file.tcp;
}

pub fn isTcp(fd: i32) bool {
    const file = kernel.fileHere(fd);
    return file.kind == .stream and file.tcp;
}

pub fn isPackets(fd: i32) bool {
    return kernel.fileHere(fd).kind == .packets;
}

pub fn isPipe(fd: i32) bool {
    const kind = kernel.fileHere(fd).kind;
    return kind == .pipe_read or kind == .pipe_write;
}

pub fn setNonBlocking(_: i32) void {}
pub fn sendKept(_: i32) void {}

pub fn send(fd: i32, bytes: [*]const u8, count: usize) isize {
    point("send");
    const file = kernel.fileHere(fd);
    if (file.kind != .stream) report.fail("send on a {s}", .{@tagName(file.kind)});
    return answer("send", flows.flows[file.out].send(bytes, count));
}

pub fn receive(fd: i32, bytes: [*]u8, count: usize) isize {
    point("receive");
    const file = kernel.fileHere(fd);
    if (file.kind != .stream) report.fail("receive on a {s}", .{@tagName(file.kind)});
    return answer("receive", flows.flows[file.in].receive(bytes, count));
}

/// A full doorbell counts as rung.
pub fn ring(doorbell: i32) void {
    point("ring");
    const file = kernel.fileHere(doorbell);
    _ = answer("ring", flows.flows[file.out].send("!", 1));
}

pub fn readPipe(fd: i32, bytes: [*]u8, count: usize) isize {
    point("read");
    const file = kernel.fileHere(fd);
    if (file.kind != .pipe_read) report.fail("read of a {s}", .{@tagName(file.kind)});
    return answer("read", flows.pipes[file.which].read(bytes, count));
}

/// The peer cannot set a description to block here.
pub fn makeOwnPipe(_: *i32) bool {
    return true;
}

pub const readOwnPipe = readPipe;

pub fn writePipe(fd: i32, bytes: [*]const u8, count: usize) isize {
    point("write");
    const file = kernel.fileHere(fd);
    if (file.kind != .pipe_write) report.fail("write to a {s}", .{@tagName(file.kind)});
    return answer("write", flows.pipes[file.which].write(bytes, count));
}

/// As writePipe, without a signal where nobody reads.
pub fn writePeersPipe(fd: i32, bytes: [*]const u8, count: usize) isize {
    point("write");
    const file = kernel.fileHere(fd);
    if (file.kind != .pipe_write) report.fail("write to a {s}", .{@tagName(file.kind)});
    const pipe = &flows.pipes[file.which];
    return answer("write", if (pipe.readers == 0) failure(.PIPE) else pipe.write(bytes, count));
}

pub fn splicePages(fd: i32, bytes: [*]const u8, count: usize) isize {
    point("splice");
    const file = kernel.fileHere(fd);
    if (file.kind != .pipe_write) report.fail("splice to a {s}", .{@tagName(file.kind)});
    return answer("splice", flows.pipes[file.which].splice(kernel.self(), bytes, count));
}

pub fn sendPacket(fd: i32, bytes: []const u8, fds: []const i32) isize {
    point("packet");
    report.trace("    packet {s} attempt {d}, {d} descriptors", .{ frameName(bytes), bytes[4], fds.len });
    return answer("packet", kernel.sendPacket(fd, bytes, fds));
}

pub fn receivePacket(fd: i32, out: []u8, fds: []i32, count: *u32) isize {
    point("take packet");
    const got = kernel.receivePacket(fd, out, fds, count);
    if (got > 0) report.trace("    got packet {s} attempt {d}", .{ frameName(out), out[4] });
    return answer("take packet", got);
}

fn frameName(bytes: []const u8) []const u8 {
    const names = [_][]const u8{ "?", "offer", "accept", "refuse", "cancel", "crossed", "rest", "lost", "ask" };
    return if (bytes[0] < names.len) names[bytes[0]] else "?";
}

// ---- time and sleep ----

pub fn nowNs() u64 {
    kernel.now_ns += 100;
    point("clock");
    return kernel.now_ns;
}

pub fn cpu() u32 {
    return kernel.processes[kernel.self()].cpu;
}

pub fn relax() void {
    kernel.now_ns += 30;
    if (interleaving != 0) fibers.giveWay();
}

pub fn globalBarrier() bool {
    point("membarrier");
    return true;
}

pub fn wake(word: *const u32) void {
    point("futex wake");
    kernel.futexWake(regions.placeOf(kernel.self(), @intFromPtr(word)));
    point("futex wake, done");
}

pub fn futexWait(word: *const u32, expected: u32, timeout_ns: u64) void {
    point("futex wait");
    if (@as(*const volatile u32, word).* != expected) return;
    const process = &kernel.processes[kernel.self()];
    process.sleep = .{ .futex = .{ .place = regions.placeOf(kernel.self(), @intFromPtr(word)), .woken = false } };
    sleepFor(process, timeout_ns);
    report.trace("    awake (futex)", .{});
}

pub fn poll(fds: []PollFd, timeout_ns: i64) usize {
    point("poll");
    const count = kernel.pollOnce(kernel.self(), fds);
    if (count != 0 or timeout_ns == 0) return count;
    const process = &kernel.processes[kernel.self()];
    process.sleep = .{ .poll = fds };
    sleepFor(process, if (timeout_ns < 0) null else @intCast(timeout_ns));
    report.trace("    awake (poll)", .{});
    return kernel.pollOnce(kernel.self(), fds);
}

fn sleepFor(process: *kernel.Process, timeout_ns: ?u64) void {
    report.trace("    asleep", .{});
    process.deadline = if (timeout_ns) |ns| kernel.now_ns +| ns else null;
    fibers.giveWay();
    process.sleep = .awake;
    process.deadline = null;
    point("awake");
}
