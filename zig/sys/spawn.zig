//! Starts a detached program: double fork, new session, no inherited descriptor, signals as a fresh program expects them.
//!
//! Everything the children need is laid out before the fork. Between fork and exec they make raw system calls on that memory and nothing
//! else: the parent is a runtime with many threads, any of which may have held any lock. The intermediate child is cloned without an exit
//! signal, so the host sees no SIGCHLD and its own waiting for children never meets ours.

const std = @import("std");
const linux = std.os.linux;
const os = @import("os.zig");
const process = @import("process.zig");
const topology = @import("topology.zig");

const result = os.result;
const failure = os.failure;

const Plan = struct {
    program: [*:0]const u8,
    argv: [*:null]const ?[*:0]const u8,
    envp: [*:null]const ?[*:0]const u8,
    input_fd: i32,
    output_fd: i32,
    report_fd: i32,
    affinity: *const topology.Mask,
};

/// The new process's pid, or minus errno, exec's included. `argv` and `extra` are NUL-terminated strings one after another.
pub fn start(argv: []const u8, extra: []const u8, log_path: []const u8) isize {
    var environment: process.Environment = undefined;
    const rc = environment.init();
    if (rc < 0) return rc;
    defer environment.deinit();

    const words = entries(argv) + entries(extra) + entries(environment.text) + 2;
    const memory = os.map(words * @sizeOf(usize)) orelse return failure(.NOMEM);
    defer os.unmap(memory);
    const pointers: [*]?[*:0]const u8 = @ptrCast(memory.ptr);
    var used: usize = 0;
    append(pointers, &used, argv, null);
    pointers[used] = null;
    used += 1;
    const envp_at = used;
    append(pointers, &used, extra, "");
    append(pointers, &used, environment.text, extra);
    pointers[used] = null;

    return withDescriptors(.{
        .program = pointers[0].?,
        .argv = @ptrCast(pointers),
        .envp = @ptrCast(pointers + envp_at),
        .input_fd = -1,
        .output_fd = -1,
        .report_fd = -1,
        .affinity = topology.atLoad(),
    }, log_path);
}

fn entries(block: []const u8) usize {
    return std.mem.count(u8, block, &.{0});
}

/// Appends each string of `block`: of an environment (`but` given) those that are not empty and whose name `but` does not set.
fn append(pointers: [*]?[*:0]const u8, used: *usize, block: []const u8, but: ?[]const u8) void {
    var at: usize = 0;
    while (std.mem.indexOfScalarPos(u8, block, at, 0)) |end| : (at = end + 1) {
        if (but) |set| {
            if (end == at or names(set, process.nameOf(block[at..end]))) continue;
        }
        pointers[used.*] = block[at..end :0].ptr;
        used.* += 1;
    }
}

fn names(block: []const u8, name: []const u8) bool {
    var each = std.mem.tokenizeScalar(u8, block, 0);
    while (each.next()) |entry| {
        if (std.mem.eql(u8, process.nameOf(entry), name)) return true;
    }
    return false;
}

/// Opens what becomes descriptors 0, 1 and 2, above them, so that the child only has to move them down.
fn withDescriptors(draft: Plan, log_path: []const u8) isize {
    var plan = draft;
    const input = raised(result(linux.open("/dev/null", .{ .ACCMODE = .RDWR, .CLOEXEC = true }, 0)));
    if (input < 0) return input;
    plan.input_fd = @intCast(input);
    defer os.close(plan.input_fd);

    const output = if (log_path.len == 0) os.duplicate(plan.input_fd, 10) else openLog(log_path);
    if (output < 0) return output;
    plan.output_fd = @intCast(output);
    defer os.close(plan.output_fd);

    var pipe: [2]i32 = undefined;
    const rc = result(linux.pipe2(&pipe, .{ .CLOEXEC = true }));
    if (rc < 0) return rc;
    defer os.close(pipe[0]);
    const report = raised(pipe[1]);
    if (report < 0) return report;
    plan.report_fd = @intCast(report);
    return forkAndListen(&plan, pipe[0]);
}

fn openLog(log_path: []const u8) isize {
    var path: os.Path = undefined;
    const name = path.set(log_path) orelse return failure(.INVAL);
    return raised(result(linux.open(name, .{ .ACCMODE = .WRONLY, .CREAT = true, .APPEND = true, .NOFOLLOW = true, .NOCTTY = true, .CLOEXEC = true }, 0o600)));
}

/// The same file on a descriptor above those the child replaces.
fn raised(fd: isize) isize {
    if (fd < 0 or fd >= 10) return fd;
    defer os.close(@intCast(fd));
    return os.duplicate(@intCast(fd), 10);
}

fn forkAndListen(plan: *const Plan, listen_fd: i32) isize {
    // The children may not run the host's signal handlers.
    var everything = linux.sigfillset();
    var before: linux.sigset_t = undefined;
    _ = linux.sigprocmask(linux.SIG.SETMASK, &everything, &before);
    const child = result(linux.syscall2(.clone, 0, 0));
    if (child == 0) intermediate(plan);
    _ = linux.sigprocmask(linux.SIG.SETMASK, &before, null);
    os.close(plan.report_fd);
    if (child < 0) return child;

    var words: [2]i32 = undefined;
    const size = os.readAll(listen_fd, std.mem.sliceAsBytes(&words));
    reap(@intCast(child));
    // One word and the end: exec closed the pipe. Two: the second is why it did not.
    if (size == @sizeOf(i32)) return words[0];
    if (size == 2 * @sizeOf(i32)) return -@as(isize, words[1]);
    return if (size < 0) size else failure(.CHILD);
}

fn reap(child: i32) void {
    const wait_all = 0x40000000; // __WALL: children without an exit signal too
    var status: u32 = 0;
    while (result(linux.wait4(child, &status, wait_all, null)) == failure(.INTR)) {}
}

fn intermediate(plan: *const Plan) noreturn {
    _ = linux.setsid();
    const child = result(linux.syscall2(.clone, @intFromEnum(linux.SIG.CHLD), 0));
    if (child == 0) grandchild(plan);
    if (child < 0) {
        say(plan.report_fd, 0);
        say(plan.report_fd, @intCast(-child));
    }
    linux.exit_group(0);
}

fn grandchild(plan: *const Plan) noreturn {
    const report_fd = 3;
    resetSignals();
    // A caller pinned for a measurement must not pin a daemon with it.
    _ = linux.syscall3(.sched_setaffinity, 0, plan.affinity.len, @intFromPtr(plan.affinity));
    _ = linux.dup3(plan.input_fd, 0, 0);
    _ = linux.dup3(plan.output_fd, 1, 0);
    _ = linux.dup3(plan.output_fd, 2, 0);
    _ = linux.dup3(plan.report_fd, report_fd, @bitCast(linux.O{ .CLOEXEC = true }));
    closeFrom(report_fd + 1);
    say(report_fd, linux.getpid());
    const rc = result(linux.execve(plan.program, plan.argv, plan.envp));
    say(report_fd, @intCast(-rc));
    linux.exit_group(127);
}

/// An ignored signal stays ignored across exec, and a blocked one blocked: runtimes do both.
fn resetSignals() void {
    const default: [8]usize = @splat(0); // longer than any struct sigaction; all zero is SIG_DFL
    var signal: usize = 1;
    while (signal < linux.NSIG) : (signal += 1) {
        _ = linux.syscall4(.rt_sigaction, signal, @intFromPtr(&default), 0, linux.NSIG / 8);
    }
    var none = linux.sigemptyset();
    _ = linux.sigprocmask(linux.SIG.SETMASK, &none, null);
}

fn closeFrom(first: i32) void {
    if (result(linux.syscall3(.close_range, os.arg(first), std.math.maxInt(u32), 0)) >= 0) return;
    var fd = first; // before Linux 5.9
    while (fd < 65536) : (fd += 1) os.close(fd);
}

/// First the pid; then, only if there is no program to become, errno.
fn say(fd: i32, word: i32) void {
    _ = linux.write(fd, std.mem.asBytes(&word), @sizeOf(i32));
}

const testing = std.testing;

fn contents(path: []const u8, out: []u8) []const u8 {
    var name: os.Path = undefined;
    const fd = result(linux.open(name.set(path).?, .{}, 0));
    if (fd < 0) return "";
    defer os.close(@intCast(fd));
    const size = os.readAll(@intCast(fd), out);
    return out[0..@intCast(@max(size, 0))];
}

/// The program is nobody's child, there is nothing to wait for but its output: until it is `size` bytes long.
fn untilSize(path: []const u8, size: usize, out: []u8) ![]const u8 {
    for (0..500) |_| {
        const text = contents(path, out);
        if (text.len >= size) return text;
        nap();
    }
    return error.NeverWritten;
}

fn untilDone(path: []const u8, out: []u8) ![]const u8 {
    for (0..500) |_| {
        const text = contents(path, out);
        if (std.mem.endsWith(u8, text, "done\n")) return text;
        nap();
    }
    return error.NeverDone;
}

fn nap() void {
    const pause: linux.timespec = .{ .sec = 0, .nsec = 10_000_000 };
    _ = linux.nanosleep(&pause, null);
}

test "a program starts detached, with its environment, without our descriptors" {
    var log_name: [64]u8 = undefined;
    const log = try std.fmt.bufPrint(&log_name, "/tmp/fable-spawn-{d}.log", .{linux.getpid()});
    var name: os.Path = undefined;
    defer _ = linux.unlinkat(linux.AT.FDCWD, name.set(log).?, 0);
    const inherited = os.duplicate(0, 50); // close-on-exec or not, the program must not see it
    defer os.close(@intCast(inherited));
    _ = linux.fcntl(@intCast(inherited), linux.F.SETFD, 0);
    const pid = start("/bin/sh\x00-c\x00echo \"$1|$FABLE_X\"; ls /proc/$$/fd | tr '\\n' ' '; echo; cut -d' ' -f1,5,6 /proc/$$/stat; echo $PPID; echo done\x00sh\x00\x00", "FABLE_X=y z\x00", log);
    try testing.expect(pid > 0);
    var text: [4096]u8 = undefined;
    var lines = std.mem.splitScalar(u8, try untilDone(log, &text), '\n');
    try testing.expectEqualStrings("|y z", lines.next().?); // an empty argument stays one
    const fds = lines.next().?;
    try testing.expect(std.mem.startsWith(u8, fds, "0 1 2"));
    try testing.expect(std.mem.indexOf(u8, fds, "50") == null);
    var stat = std.mem.tokenizeScalar(u8, lines.next().?, ' ');
    try testing.expectEqual(pid, try std.fmt.parseInt(isize, stat.next().?, 10));
    const group = stat.next().?;
    try testing.expectEqualStrings(group, stat.next().?); // its own session, whose leader is the vanished intermediate child
    try testing.expect(try std.fmt.parseInt(i32, lines.next().?, 10) != linux.getpid());
}

test "signals that we block and ignore are neither in the program" {
    var log_name: [64]u8 = undefined;
    const log = try std.fmt.bufPrint(&log_name, "/tmp/fable-spawn-signals-{d}.log", .{linux.getpid()});
    var name: os.Path = undefined;
    defer _ = linux.unlinkat(linux.AT.FDCWD, name.set(log).?, 0);
    var mask = linux.sigfillset();
    var before: linux.sigset_t = undefined;
    _ = linux.sigprocmask(linux.SIG.SETMASK, &mask, &before);
    var ignore: linux.Sigaction = .{ .handler = .{ .handler = linux.SIG.IGN }, .mask = linux.sigemptyset(), .flags = 0 };
    var action: linux.Sigaction = undefined;
    _ = linux.sigaction(.USR2, &ignore, &action);
    // Not through a shell: shells clean up themselves.
    const pid = start("/bin/grep\x00-hE\x00^Sig(Blk|Ign)\x00/proc/self/status\x00", "", log);
    _ = linux.sigaction(.USR2, &action, null);
    _ = linux.sigprocmask(linux.SIG.SETMASK, &before, null);
    try testing.expect(pid > 0);
    var text: [4096]u8 = undefined;
    const none = "0000000000000000\n";
    const expected = "SigBlk:\t" ++ none ++ "SigIgn:\t" ++ none;
    try testing.expectEqualStrings(expected, try untilSize(log, expected.len, &text));
}

test "why exec failed comes back, and no child is left" {
    try testing.expectEqual(failure(.NOENT), start("/nonexistent/program\x00", "", ""));
    try testing.expectEqual(failure(.ACCES), start("/proc/self/status\x00", "", ""));
    try testing.expectEqual(failure(.NOENT), start("/bin/true\x00", "", "/nonexistent/folder/log"));
    var status: u32 = 0;
    try testing.expectEqual(failure(.CHILD), result(linux.wait4(-1, &status, 0x40000000 | linux.W.NOHANG, null)));
}

test "extra variables replace inherited ones" {
    var pointers: [8]?[*:0]const u8 = undefined;
    var used: usize = 0;
    append(&pointers, &used, "A=9\x00", "");
    append(&pointers, &used, "A=1\x00\x00B=2\x00", "A=9\x00");
    try testing.expectEqual(@as(usize, 2), used);
    try testing.expectEqualStrings("A=9", std.mem.span(pointers[0].?));
    try testing.expectEqualStrings("B=2", std.mem.span(pointers[1].?));
}
