//! Exports for processes: lives by pidfd, this process's identity, environment and program, starting a detached one.

const std = @import("std");
const linux = std.os.linux;
const os = @import("../sys/os.zig");
const process = @import("../sys/process.zig");
const spawn = @import("../sys/spawn.zig");
const answer = @import("answer.zig");
const check = @import("check.zig");
const status = @import("status.zig");
const Credentials = @import("host.zig").Credentials;

pub export fn fable_pid_open(pid: u32) callconv(.c) i32 {
    return answer.unless(process.open(pid), .INVAL, status.BAD_ARGUMENT);
}

pub export fn fable_pid_dead(pid_fd: i32) callconv(.c) i32 {
    if (pid_fd < 0) return status.BAD_ARGUMENT;
    return answer.plain(process.dead(pid_fd));
}

pub export fn fable_self(out: ?*anyopaque) callconv(.c) i32 {
    const credentials = check.one(Credentials, out) orelse return status.BAD_ARGUMENT;
    const pid: u32 = @bitCast(linux.getpid());
    var start_time: u64 = 0;
    _ = process.startTime(pid, &start_time);
    credentials.* = .{ .pid = pid, .uid = linux.geteuid(), .gid = linux.getegid(), .pid_fd = -1, .start_time = start_time };
    return status.OK;
}

pub export fn fable_executable(out: ?[*]u8, capacity_bytes: u32) callconv(.c) i32 {
    const buffer = check.many(u8, out, capacity_bytes) orelse return status.BAD_ARGUMENT;
    var path: [os.Path.max + 1]u8 = undefined;
    const size = process.executable(&path);
    if (size < 0) return answer.plain(size);
    return copyOut(path[0..@intCast(size)], buffer);
}

/// From the environment the process was started with: what the runtime changed since is not in it.
pub export fn fable_getenv(name: ?[*]const u8, name_bytes: u32, out: ?[*]u8, capacity_bytes: u32) callconv(.c) i32 {
    const wanted = check.manyConst(u8, name, name_bytes) orelse return status.BAD_ARGUMENT;
    const buffer = check.many(u8, out, capacity_bytes) orelse return status.BAD_ARGUMENT;
    if (wanted.len == 0 or std.mem.indexOfAny(u8, wanted, "=\x00") != null) return status.BAD_ARGUMENT;
    var environment: process.Environment = undefined;
    const rc = environment.init();
    if (rc < 0) return answer.plain(rc);
    defer environment.deinit();
    const value = environment.get(wanted) orelse return status.EMPTY;
    return copyOut(value, buffer);
}

fn copyOut(bytes: []const u8, buffer: []u8) i32 {
    if (bytes.len > buffer.len) return status.TOO_LARGE;
    @memcpy(buffer[0..bytes.len], bytes);
    return @intCast(bytes.len);
}

/// What execve itself would refuse.
const most_bytes = 1 << 20;

/// Answers the new process's pid. Blocks until the program runs or could not be started.
pub export fn fable_spawn(argv: ?[*]const u8, argv_bytes: u32, extra_env: ?[*]const u8, extra_env_bytes: u32, log_path: ?[*]const u8, log_path_bytes: u32) callconv(.c) i32 {
    const words = check.manyConst(u8, argv, argv_bytes) orelse return status.BAD_ARGUMENT;
    const extra = check.manyConst(u8, extra_env, extra_env_bytes) orelse return status.BAD_ARGUMENT;
    const log = check.manyConst(u8, log_path, log_path_bytes) orelse return status.BAD_ARGUMENT;
    if (words.len > most_bytes or extra.len > most_bytes or log.len > os.Path.max) return status.TOO_LARGE;
    if (words.len < 2 or words[0] != '/' or words[words.len - 1] != 0) return status.BAD_ARGUMENT;
    if (extra.len > 0 and (extra[extra.len - 1] != 0 or !areVariables(extra))) return status.BAD_ARGUMENT;
    return answer.plain(spawn.start(words, extra, log));
}

fn areVariables(block: []const u8) bool {
    var entries = std.mem.tokenizeScalar(u8, block, 0);
    while (entries.next()) |entry| {
        const equals = std.mem.indexOfScalar(u8, entry, '=') orelse return false;
        if (equals == 0) return false;
    }
    return true;
}
