//! Processes: their lives (pidfd), start times, this one's identity, environment and executable.

const std = @import("std");
const linux = std.os.linux;
const os = @import("os.zig");

const result = os.result;
const failure = os.failure;

pub fn open(pid: u32) isize {
    if (pid == 0 or pid > std.math.maxInt(i32)) return failure(.INVAL);
    return result(linux.pidfd_open(@intCast(pid), 0));
}

/// 1 when the process behind a pidfd has ended, reaped or not; 0 while it lives.
pub fn dead(pid_fd: i32) isize {
    var one = [1]linux.pollfd{.{ .fd = pid_fd, .events = linux.POLL.IN, .revents = 0 }};
    while (true) {
        var now: linux.timespec = .{ .sec = 0, .nsec = 0 };
        const rc = result(linux.ppoll(&one, 1, &now, null));
        if (rc == failure(.INTR)) continue;
        if (rc < 0) return rc;
        if (rc > 0 and one[0].revents & linux.POLL.NVAL != 0) return failure(.BADF);
        return if (rc > 0) 1 else 0;
    }
}

/// Field 22 of /proc/PID/stat: clock ticks from boot to the start of the process. With the pid it names a process for ever.
pub fn startTime(pid: u32, out: *u64) isize {
    var name: [32]u8 = undefined;
    const path = std.fmt.bufPrintZ(&name, "/proc/{d}/stat", .{pid}) catch return failure(.INVAL);
    const fd_result = result(linux.open(path, .{ .CLOEXEC = true }, 0));
    if (fd_result < 0) return fd_result;
    const fd: i32 = @intCast(fd_result);
    defer os.close(fd);
    var text: [1024]u8 = undefined;
    const size = os.readAll(fd, &text);
    if (size < 0) return size;
    out.* = parseStartTime(text[0..@intCast(size)]) orelse return failure(.INVAL);
    return 0;
}

/// The command name in field 2 is free text: it may hold spaces, parentheses and newlines. Only what follows the last ')' is regular.
fn parseStartTime(text: []const u8) ?u64 {
    const name_end = std.mem.lastIndexOfScalar(u8, text, ')') orelse return null;
    var fields = std.mem.tokenizeAny(u8, text[name_end + 1 ..], " \n");
    var number: u32 = 3;
    while (fields.next()) |field| : (number += 1) {
        if (number == 22) return std.fmt.parseInt(u64, field, 10) catch null;
    }
    return null;
}

pub fn executable(out: []u8) isize {
    return result(linux.readlinkat(linux.AT.FDCWD, "/proc/self/exe", out.ptr, out.len));
}

/// The environment this process was started with. Its own memory, to be given back with `deinit`.
pub const Environment = struct {
    memory: []align(std.heap.page_size_min) u8,
    text: []const u8,

    const most_bytes = 16 << 20;

    pub fn init(environment: *Environment) isize {
        const fd_result = result(linux.open("/proc/self/environ", .{ .CLOEXEC = true }, 0));
        if (fd_result < 0) return fd_result;
        const fd: i32 = @intCast(fd_result);
        defer os.close(fd);
        var capacity: usize = 64 << 10;
        var filled: usize = 0;
        var memory = os.map(capacity) orelse return failure(.NOMEM);
        while (true) {
            const size = os.readAll(fd, memory[filled..]);
            if (size < 0) {
                os.unmap(memory);
                return size;
            }
            filled += @intCast(size);
            if (filled < capacity) break;
            const larger = if (capacity < most_bytes) os.map(capacity * 4) else null;
            if (larger) |bigger| @memcpy(bigger[0..filled], memory[0..filled]);
            os.unmap(memory);
            memory = larger orelse return failure(.NOMEM);
            capacity *= 4;
        }
        environment.* = .{ .memory = memory, .text = memory[0..filled] };
        return 0;
    }

    pub fn deinit(environment: *Environment) void {
        os.unmap(environment.memory);
    }

    pub fn get(environment: *const Environment, name: []const u8) ?[]const u8 {
        var entries = std.mem.tokenizeScalar(u8, environment.text, 0);
        while (entries.next()) |entry| {
            if (std.mem.eql(u8, nameOf(entry), name) and entry.len > name.len) return entry[name.len + 1 ..];
        }
        return null;
    }
};

/// NAME of NAME=value; the whole entry if it has no '='.
pub fn nameOf(entry: []const u8) []const u8 {
    return entry[0 .. std.mem.indexOfScalar(u8, entry, '=') orelse entry.len];
}

test "start time survives a hostile command name" {
    const tail = " S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2 3";
    try std.testing.expectEqual(@as(?u64, 987654), parseStartTime("42 (a b) R 1) x" ++ ")" ++ tail));
    try std.testing.expectEqual(@as(?u64, null), parseStartTime("42 (a"));
    try std.testing.expectEqual(@as(?u64, null), parseStartTime("42 (a) S 1 2"));
    var own: u64 = 0;
    try std.testing.expectEqual(@as(isize, 0), startTime(@intCast(linux.getpid()), &own));
    try std.testing.expect(own > 0);
    try std.testing.expectEqual(failure(.NOENT), startTime(4194305, &own));
}

test "a pidfd tells a living process from a dead one" {
    const self = open(@intCast(linux.getpid()));
    try std.testing.expect(self >= 0);
    defer os.close(@intCast(self));
    try std.testing.expectEqual(@as(isize, 0), dead(@intCast(self)));
    const child: i32 = @intCast(result(linux.fork()));
    if (child == 0) linux.exit_group(0);
    const child_fd: i32 = @intCast(open(@intCast(child)));
    defer os.close(child_fd);
    var status: u32 = 0;
    _ = linux.wait4(child, &status, 0, null);
    try std.testing.expectEqual(@as(isize, 1), dead(child_fd));
    try std.testing.expectEqual(failure(.BADF), dead(4000));
    try std.testing.expectEqual(failure(.INVAL), open(0));
}

test "environment entries" {
    var environment: Environment = undefined;
    try std.testing.expectEqual(@as(isize, 0), environment.init());
    defer environment.deinit();
    const made: Environment = .{ .memory = environment.memory, .text = "A=1\x00AB=2\x00EMPTY=\x00" };
    try std.testing.expectEqualStrings("1", made.get("A").?);
    try std.testing.expectEqualStrings("2", made.get("AB").?);
    try std.testing.expectEqualStrings("", made.get("EMPTY").?);
    try std.testing.expect(made.get("B") == null);
}
