//! The plain kernel loop to compare with: a blocking Unix stream socket, read and write of exactly one message, nothing else.

const std = @import("std");
const linux = std.os.linux;
const os = @import("bench_os.zig");
const payload = @import("bench_payload.zig");
const lat = @import("bench_lat.zig");
const thr = @import("bench_thr.zig");

/// A blocking pair of stream sockets.
pub fn pair() os.Error![2]i32 {
    var fds: [2]i32 = undefined;
    if (os.failed(linux.socketpair(linux.AF.UNIX, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, 0, &fds))) return error.Socket;
    return fds;
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
    const fd = run.streams[which];
    const buffer = os.private(std.mem.alignForward(usize, size, 4096)) catch os.die(1, "no memory", .{});
    run.meeting.arrive(which, 1);
    var wrong: u64 = 0;
    if (which == 0) {
        var clock: lat.Clock = .start(run);
        while (true) {
            const sequence = clock.next();
            payload.fill(buffer.ptr, size, sequence);
            writeAll(fd, buffer[0..size]);
            readAll(fd, buffer[0..size]);
            wrong |= payload.check(buffer.ptr, size, sequence);
            clock.done();
            if (sequence & lat.last_bit != 0) break;
        }
    } else while (true) {
        readAll(fd, buffer[0..size]);
        const sequence = std.mem.readInt(u64, buffer[0..8], .little);
        wrong |= payload.check(buffer.ptr, size, sequence);
        writeAll(fd, buffer[0..size]);
        if (sequence & lat.last_bit != 0) break;
    }
    run.meeting.sides[which].result[0] = wrong;
}

/// Small messages travel `batch` at a time, as the rings publish them: written with one call, read with as large a one.
pub fn stream(run: thr.Run, which: u1) void {
    const size = run.options.size_bytes;
    const fd = run.streams[which];
    const per_call = @max(run.options.batch, 1);
    const buffer = os.private(std.mem.alignForward(usize, @as(usize, size) * per_call, 4096)) catch os.die(1, "no memory", .{});
    run.meeting.arrive(which, 1);
    var wrong: u64 = 0;
    if (which == 0) run.meeting.sides[0].result[0] = os.nowNs();
    var sequence: u64 = 0;
    while (sequence < run.messages) {
        const count = @min(per_call, run.messages - sequence);
        const bytes = buffer[0 .. count * size];
        if (which == 1) readAll(fd, bytes);
        for (0..count) |i| {
            const at = buffer.ptr + i * size;
            if (which == 0) payload.fill(at, size, sequence + i) else if (run.options.check == .full) {
                wrong |= payload.check(at, size, sequence + i);
            } else wrong |= payload.checkSequence(at, size, sequence + i);
        }
        if (which == 0) writeAll(fd, bytes);
        sequence += count;
    }
    if (which == 1) {
        run.meeting.sides[1].result[0] = os.nowNs();
        run.meeting.sides[1].result[1] = wrong;
    }
}
