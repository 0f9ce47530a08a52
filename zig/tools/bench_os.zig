//! What the native benchmark needs from the system: time stamps, pinning, shared memory, and two pinned processes that are watched
//! so that a spin never outlives its peer. No libc.

const std = @import("std");
const builtin = @import("builtin");
const linux = std.os.linux;

pub const Error = error{ Pin, Map, Fork, Socket, NoSecondCore };

/// Time-stamp counter: `rdtsc` on x86-64 (constant and synchronised between cores on every machine we support), the virtual counter on arm64.
pub inline fn ticks() u64 {
    switch (builtin.cpu.arch) {
        .x86_64 => {
            var low: u32 = undefined;
            var high: u32 = undefined;
            asm volatile ("rdtsc"
                : [low] "={eax}" (low),
                  [high] "={edx}" (high),
                :
                : .{ .memory = true });
            return @as(u64, high) << 32 | low;
        },
        .aarch64 => return asm volatile ("mrs %[out], cntvct_el0"
            : [out] "=r" (-> u64),
            :
            : .{ .memory = true }),
        else => @compileError("FABLE runs on x86-64 and arm64"),
    }
}

pub inline fn relax() void {
    std.atomic.spinLoopHint();
}

pub fn nowNs() u64 {
    var t: linux.timespec = undefined;
    _ = linux.clock_gettime(.MONOTONIC, &t);
    return @as(u64, @intCast(t.sec)) * 1_000_000_000 + @as(u64, @intCast(t.nsec));
}

/// Nanoseconds per tick, measured once over 20 ms against CLOCK_MONOTONIC.
pub fn calibrate() f64 {
    if (cached_ns_per_tick != 0) return cached_ns_per_tick;
    const t0 = nowNs();
    const c0 = ticks();
    while (nowNs() - t0 < 20_000_000) {}
    const t1 = nowNs();
    const c1 = ticks();
    cached_ns_per_tick = @as(f64, @floatFromInt(t1 - t0)) / @as(f64, @floatFromInt(c1 - c0));
    return cached_ns_per_tick;
}
var cached_ns_per_tick: f64 = 0;

/// Lets `count` ticks pass.
pub noinline fn burn(count: u64) void {
    const began = ticks();
    while (ticks() -% began < count) {}
}

pub fn failed(rc: usize) bool {
    return @as(isize, @bitCast(rc)) < 0 and @as(isize, @bitCast(rc)) > -4096;
}

pub fn pin(core: u32) Error!void {
    var set: linux.cpu_set_t = @splat(0);
    const bits = @bitSizeOf(usize);
    if (core / bits >= set.len) return error.Pin;
    set[core / bits] |= @as(usize, 1) << @intCast(core % bits);
    linux.sched_setaffinity(0, &set) catch return error.Pin;
}

/// Prefaulted memory that a forked child shares.
pub fn shared(size_bytes: usize) Error![]align(4096) u8 {
    const rc = linux.mmap(null, size_bytes, .{ .READ = true, .WRITE = true }, .{ .TYPE = .SHARED, .ANONYMOUS = true, .POPULATE = true }, -1, 0);
    if (failed(rc)) return error.Map;
    const pointer: [*]align(4096) u8 = @ptrFromInt(rc);
    return pointer[0..size_bytes];
}

pub fn private(size_bytes: usize) Error![]align(4096) u8 {
    const rc = linux.mmap(null, size_bytes, .{ .READ = true, .WRITE = true }, .{ .TYPE = .PRIVATE, .ANONYMOUS = true, .POPULATE = true }, -1, 0);
    if (failed(rc)) return error.Map;
    const pointer: [*]align(4096) u8 = @ptrFromInt(rc);
    return pointer[0..size_bytes];
}

pub fn unmap(memory: []align(4096) u8) void {
    _ = linux.munmap(memory.ptr, memory.len);
}

pub fn close(fd: i32) void {
    if (fd >= 0) _ = linux.close(fd);
}

pub fn say(bytes: []const u8) void {
    var rest = bytes;
    while (rest.len > 0) {
        const rc = linux.write(1, rest.ptr, rest.len);
        if (failed(rc)) return;
        rest = rest[rc..];
    }
}

/// Ends the process with one sentence on stderr. 2 is a usage error, 3 what this machine or trust does not allow, 1 a failed measurement.
pub fn die(code: u8, comptime format: []const u8, arguments: anytype) noreturn {
    var buffer: [512]u8 = undefined;
    const text = std.fmt.bufPrint(&buffer, "fable-bench: " ++ format ++ "\n", arguments) catch "fable-bench: failed\n";
    _ = linux.write(2, text.ptr, text.len);
    linux.exit_group(code);
}

/// Where the two processes of a pair meet. Every hot word has its own pair of lines.
pub const Meeting = struct {
    pub const Side = struct { stage: u32 align(128) = 0, result: [8]u64 align(128) = @splat(0) };
    sides: [2]Side align(128),

    pub fn create() Error!*Meeting {
        const bytes = try shared(@sizeOf(Meeting));
        const self: *Meeting = @ptrCast(bytes.ptr);
        self.* = .{ .sides = .{ .{}, .{} } };
        return self;
    }

    /// Both sides arrive at `stage` (1, 2, …) before either goes on. Yields, so that it works on one core too.
    pub fn arrive(self: *Meeting, side: u1, stage: u32) void {
        @atomicStore(u32, &self.sides[side].stage, stage, .release);
        var looks: u32 = 0;
        while (@atomicLoad(u32, &self.sides[1 - side].stage, .acquire) < stage) {
            relax();
            looks += 1;
            if (looks % 64 == 0) _ = linux.sched_yield();
        }
    }
};

/// Runs `run(context, 0)` and `run(context, 1)` in two fresh processes, each pinned, and waits for both. One that fails or takes longer than
/// `limit_s` seconds ends the other, and this process with it. What they find out goes into shared memory.
pub fn pair(cores: [2]u32, limit_s: u32, context: anytype, comptime run: fn (@TypeOf(context), u1) void) Error!void {
    const parent = linux.getpid();
    var pids: [2]i32 = undefined;
    inline for (.{ 0, 1 }) |which| {
        const rc = linux.fork();
        if (failed(rc)) return error.Fork;
        if (rc == 0) {
            _ = linux.prctl(@intFromEnum(linux.PR.SET_PDEATHSIG), @intFromEnum(linux.SIG.KILL), 0, 0, 0);
            if (linux.getppid() != parent) linux.exit_group(1);
            // its default action ends the process
            _ = linux.syscall1(.alarm, limit_s);
            pin(cores[which]) catch die(1, "cannot pin to core {d}; `taskset -p $$` shows what is allowed", .{cores[which]});
            run(context, which);
            linux.exit_group(0);
        }
        pids[which] = @intCast(rc);
    }
    for (0..2) |_| {
        var status: u32 = 0;
        if (failed(linux.waitpid(-1, &status, 0))) return error.Fork;
        if (status == 0) continue;
        // children die with this process
        if (status & 0x7f == @intFromEnum(linux.SIG.ALRM)) die(1, "the measurement did not end within {d} s; is a core taken by something else?", .{limit_s});
        linux.exit_group(if (status & 0x7f == 0) @intCast(status >> 8 & 0xff) else 1);
    }
}
