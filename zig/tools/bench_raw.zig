//! The plain kernel loop to compare with: a blocking socket or pipe, read and write of exactly one message, nothing else.

const std = @import("std");
const linux = std.os.linux;
const os = @import("bench_os.zig");
const payload = @import("bench_payload.zig");
const lat = @import("bench_lat.zig");
const thr = @import("bench_thr.zig");
const fable = @import("fable");
const Transport = @import("bench_options.zig").Transport;

/// What each side reads from and writes to.
pub const Streams = struct {
    in: [2]i32,
    out: [2]i32,

    pub fn close(s: Streams) void {
        for (s.in, s.out) |in, out| {
            os.close(in);
            if (out != in) os.close(out);
        }
    }
};

/// Blocking, connected.
pub fn connect(transport: Transport) os.Error!Streams {
    var fds: [2]i32 = undefined;
    switch (transport) {
        .@"raw-tcp", .@"raw-tcp-nodelay" => {
            if (fable.sys.pipe.tcpPair(&fds, transport == .@"raw-tcp-nodelay") < 0) return error.Socket;
            for (fds) |fd| _ = linux.fcntl(fd, linux.F.SETFL, 0); // blocking
        },
        .@"raw-pipe" => {
            var back: [2]i32 = undefined;
            if (os.failed(linux.pipe2(&fds, .{ .CLOEXEC = true })) or os.failed(linux.pipe2(&back, .{ .CLOEXEC = true }))) return error.Socket;
            return .{ .in = .{ back[0], fds[0] }, .out = .{ fds[1], back[1] } };
        },
        else => if (os.failed(linux.socketpair(linux.AF.UNIX, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, 0, &fds))) return error.Socket,
    }
    return .{ .in = fds, .out = fds };
}

fn writeAll(fd: i32, bytes: []const u8) void {
    var rest = bytes;
    while (rest.len > 0) {
        const rc = linux.write(fd, rest.ptr, rest.len);
        if (os.failed(rc)) os.die(1, "write failed: {t}", .{linux.errno(rc)});
        rest = rest[rc..];
    }
}

fn readAll(fd: i32, bytes: []u8) void {
    var rest = bytes;
    while (rest.len > 0) {
        const rc = linux.read(fd, rest.ptr, rest.len);
        if (os.failed(rc) or rc == 0) os.die(1, "read failed: {t}", .{linux.errno(rc)});
        rest = rest[rc..];
    }
}

pub fn pingPong(run: lat.Run, which: u1) void {
    const size = run.options.size_bytes;
    const in = run.streams.in[which];
    const out = run.streams.out[which];
    const buffer = os.private(std.mem.alignForward(usize, size, 4096)) catch os.die(1, "no memory", .{});
    run.meeting.arrive(which, 1);
    var wrong: u64 = 0;
    if (which == 0) {
        var clock: lat.Clock = .start(run);
        while (true) {
            const sequence = clock.next();
            payload.fill(buffer.ptr, size, sequence);
            writeAll(out, buffer[0..size]);
            readAll(in, buffer[0..size]);
            wrong |= payload.check(buffer.ptr, size, sequence);
            clock.done();
            if (sequence & lat.last_bit != 0) break;
        }
    } else while (true) {
        readAll(in, buffer[0..size]);
        const sequence = std.mem.readInt(u64, buffer[0..8], .little);
        wrong |= payload.check(buffer.ptr, size, sequence);
        writeAll(out, buffer[0..size]);
        if (sequence & lat.last_bit != 0) break;
    }
    run.meeting.sides[which].result[0] = wrong;
}

/// Small messages travel `batch` at a time, as the rings publish them: written with one call, read with as large a one.
pub fn stream(run: thr.Run, which: u1) void {
    @setEvalBranchQuota(20_000);
    // as ours: a program with one kind of message has a loop for it
    switch (run.options.check) {
        inline else => |how| switch (run.options.size_bytes) {
            inline 64, 72, 4096, 4104, 65536, 65544 => |known| streamOf(run, which, how, known),
            else => |size| streamOf(run, which, how, size),
        },
    }
}

inline fn streamOf(run: thr.Run, which: u1, comptime how: payload.Check, size: u32) void {
    const fd = if (which == 0) run.streams.out[0] else run.streams.in[1];
    const per_call = @max(run.options.batch, 1);
    const buffer = os.private(std.mem.alignForward(usize, @as(usize, size) * per_call, 4096)) catch os.die(1, "no memory", .{});
    run.meeting.arrive(which, 1);
    var wrong: u64 = 0;
    var clock: thr.Clock = .of(run);
    var sequence: u64 = 0;
    while (sequence < run.messages) {
        if (which == 1) clock.reached(sequence);
        const count = @min(per_call, run.messages - sequence);
        const bytes = buffer[0 .. count * size];
        if (which == 1) readAll(fd, bytes);
        for (0..count) |i| {
            const at = buffer.ptr + i * size;
            if (which == 0) payload.fill(at, size, sequence + i) else wrong |= payload.verify(how, at, size, sequence + i);
        }
        if (which == 0) writeAll(fd, bytes);
        sequence += count;
    }
    if (which == 1) clock.stop(wrong);
}
