//! Sockets, frames, identities, regions and the rest of the host functions, through the C ABI with the kernel behind them.

const std = @import("std");
const linux = std.os.linux;
const host = @import("host.zig");
const files = @import("host_files.zig");
const process = @import("host_process.zig");
const machine = @import("host_machine.zig");
const observers = @import("host_control.zig");
const memory = @import("../sys/memory.zig");
const control = @import("../layout/control.zig");
const status = @import("status.zig");
const testing = std.testing;

fn seqpacket() ![2]i32 {
    var pair: [2]i32 = undefined;
    try testing.expectEqual(status.OK, host.fable_socketpair(5, &pair));
    return pair;
}

fn closeAll(fds: []const i32) void {
    for (fds) |fd| _ = linux.close(fd);
}

fn openDescriptors() u32 {
    var count: u32 = 0;
    for (0..1024) |fd| {
        if (linux.errno(linux.fcntl(@intCast(fd), linux.F.GETFD, 0)) == .SUCCESS) count += 1;
    }
    return count;
}

/// A frame past the checks of the library, as a hostile peer sends it.
fn sendRaw(fd: i32, bytes: []const u8, fds: []const i32) !void {
    var control_bytes: [1200]u8 align(8) = @splat(0);
    const header: *linux.cmsghdr = @ptrCast(&control_bytes);
    header.* = .{ .len = @sizeOf(linux.cmsghdr) + fds.len * 4, .level = linux.SOL.SOCKET, .type = linux.SCM.RIGHTS };
    @memcpy(control_bytes[@sizeOf(linux.cmsghdr)..][0 .. fds.len * 4], std.mem.sliceAsBytes(fds));
    const iov = [1]std.posix.iovec_const{.{ .base = bytes.ptr, .len = bytes.len }};
    const message: linux.msghdr_const = .{ .name = null, .namelen = 0, .iov = &iov, .iovlen = 1, .control = &control_bytes, .controllen = header.len, .flags = 0 };
    try testing.expectEqual(bytes.len, linux.sendmsg(fd, &message, 0));
}

const Frame = struct { bytes: [65536]u8 = undefined, fds: [16]i32 = undefined, count: u32 = 0 };
var frame: Frame = .{};

fn receive(fd: i32) i32 {
    return host.fable_frame_receive(fd, &frame.bytes, frame.bytes.len, &frame.fds, frame.fds.len, &frame.count);
}

test "frames keep their boundaries and carry descriptors" {
    const pair = try seqpacket();
    defer closeAll(&pair);
    var byte: [1]u8 = undefined;
    try testing.expectEqual(status.EMPTY, receive(pair[0]));
    const passed = [3]i32{ pair[1], pair[1], 2 };
    try testing.expectEqual(status.OK, host.fable_frame_send(pair[1], "one", 3, &passed, 3));
    try testing.expectEqual(status.OK, host.fable_frame_send(pair[1], "second", 6, null, 0));
    try testing.expectEqual(3, receive(pair[0]));
    try testing.expectEqualStrings("one", frame.bytes[0..3]);
    try testing.expectEqual(3, frame.count);
    for (frame.fds[0..3]) |fd| try testing.expectEqual(linux.FD_CLOEXEC, linux.fcntl(fd, linux.F.GETFD, 0));
    try testing.expectEqual(status.OK, host.fable_frame_send(frame.fds[0], "by the copy", 11, null, 0));
    closeAll(frame.fds[0..3]);
    try testing.expectEqual(6, receive(pair[0]));
    try testing.expectEqual(0, frame.count);
    try testing.expectEqual(11, receive(pair[0]));
    try testing.expectEqual(status.BAD_ARGUMENT, host.fable_frame_receive(pair[0], &byte, 0, null, 0, &frame.count));
    try testing.expectEqual(status.BAD_ARGUMENT, host.fable_frame_receive(pair[0], &byte, 1, null, 0, null));
}

test "the largest frame passes, larger ones and too many descriptors do not" {
    const pair = try seqpacket();
    defer closeAll(&pair);
    var large: [65537]u8 = @splat(7);
    try testing.expectEqual(status.TOO_LARGE, host.fable_frame_send(pair[0], &large, 65537, null, 0));
    try testing.expectEqual(status.OK, host.fable_frame_send(pair[0], &large, 65536, null, 0));
    try testing.expectEqual(65536, receive(pair[1]));
    const fds: [17]i32 = @splat(pair[0]);
    try testing.expectEqual(status.BAD_ARGUMENT, host.fable_frame_send(pair[0], "x", 1, &fds, 17));
    try testing.expectEqual(status.BAD_ARGUMENT, host.fable_frame_send(pair[0], "", 0, null, 0));
    try testing.expectEqual(status.BAD_ARGUMENT, host.fable_frame_send(pair[0], null, 1, null, 0));
    try testing.expectEqual(status.OK, host.fable_frame_send(pair[0], "x", 1, &fds, 16));
    try testing.expectEqual(1, receive(pair[1]));
    try testing.expectEqual(16, frame.count);
    closeAll(frame.fds[0..16]);
}

test "no descriptor survives a frame that does not fit" {
    const pair = try seqpacket();
    defer closeAll(&pair);
    const before = openDescriptors();
    var small: [4]u8 = undefined;
    var fds: [2]i32 = undefined;
    var count: u32 = 9;
    const many: [250]i32 = @splat(2);
    for ([_]usize{ 1, 16 }) |passed| { // too long
        try sendRaw(pair[0], "longer than four", many[0..passed]);
        try testing.expectEqual(status.TRUNCATED, host.fable_frame_receive(pair[1], &small, 4, &frame.fds, 16, &count));
        try testing.expectEqual(0, count);
        try testing.expectEqual(before, openDescriptors());
    }
    for ([_]usize{ 3, 16, 17, 60, 61, 250 }) |passed| { // too many for the caller
        try sendRaw(pair[0], "abc", many[0..passed]);
        try testing.expectEqual(status.TRUNCATED, host.fable_frame_receive(pair[1], &small, 4, &fds, 2, &count));
        try testing.expectEqual(before, openDescriptors());
    }
    for ([_]usize{ 17, 60, 61, 250 }) |passed| { // too many for anyone
        try sendRaw(pair[0], "abc", many[0..passed]);
        try testing.expectEqual(status.TRUNCATED, receive(pair[1]));
        try testing.expectEqual(before, openDescriptors());
    }
    try sendRaw(pair[0], "", many[0..5]); // an empty packet looks like the end
    try testing.expectEqual(status.HUNG_UP, receive(pair[1]));
    try testing.expectEqual(before, openDescriptors());
}

test "a full socket, a closed one, and the last words of a peer that closed early" {
    const pair = try seqpacket();
    var sent: u32 = 0;
    while (host.fable_frame_send(pair[0], "12345678", 8, null, 0) == status.OK) sent += 1;
    try testing.expectEqual(status.ENOSPACE, host.fable_frame_send(pair[0], "12345678", 8, null, 0));
    try testing.expect(sent > 0);
    try testing.expectEqual(status.OK, host.fable_frame_send(pair[1], "bye", 3, null, 0));
    _ = linux.close(pair[1]); // with all of ours unread: the kernel puts ECONNRESET before its goodbye
    try testing.expectEqual(3, receive(pair[0]));
    try testing.expectEqual(status.HUNG_UP, receive(pair[0]));
    try testing.expectEqual(status.HUNG_UP, host.fable_frame_send(pair[0], "x", 1, null, 0));
    closeAll(pair[0..1]);
    try testing.expectEqual(status.SYSTEM, receive(pair[0]));
    try testing.expectEqual(@as(i32, @intFromEnum(linux.E.BADF)), status.lastErrno());
}

fn socketPath(out: *[64]u8) ![]const u8 {
    var salt: [6]u8 = undefined;
    _ = files.fable_random(&salt, salt.len);
    return std.fmt.bufPrint(out, "/tmp/fable-test-{x}.sock", .{&salt});
}

test "listen, dial, accept, who is there" {
    var name: [64]u8 = undefined;
    const path = try socketPath(&name);
    const len: u32 = @intCast(path.len);
    try testing.expectEqual(status.SYSTEM, host.fable_dial(path.ptr, len));
    const server = host.fable_listen(path.ptr, len, 0o600, 2);
    try testing.expect(server >= 0);
    defer closeAll(&.{server});
    try testing.expectEqual(status.SYSTEM, host.fable_listen(path.ptr, len, 0o600, 2));
    try testing.expectEqual(@as(i32, @intFromEnum(linux.E.ADDRINUSE)), status.lastErrno());
    var facts: files.RegionFacts = undefined;
    _ = files.fable_region_check(server, &facts);
    try testing.expectEqual(0, facts.is_memory);
    try testing.expectEqual(status.EMPTY, host.fable_accept(server));
    var clients: [8]i32 = undefined;
    var count: usize = 0;
    while (count < clients.len) : (count += 1) {
        clients[count] = host.fable_dial(path.ptr, len);
        if (clients[count] < 0) break;
    }
    try testing.expectEqual(status.ENOSPACE, clients[count]);
    defer closeAll(clients[0..count]);
    const served = host.fable_accept(server);
    try testing.expect(served >= 0);
    defer closeAll(&.{served});
    var peer: host.Credentials = undefined;
    var self: host.Credentials = undefined;
    try testing.expectEqual(status.OK, host.fable_peer_credentials(served, &peer));
    try testing.expectEqual(status.OK, process.fable_self(&self));
    defer closeAll(&.{peer.pid_fd});
    try testing.expectEqual(self.pid, peer.pid);
    try testing.expectEqual(self.uid, peer.uid);
    try testing.expectEqual(self.start_time, peer.start_time);
    try testing.expect(self.start_time > 0);
    try testing.expectEqual(-1, self.pid_fd);
    try testing.expectEqual(0, process.fable_pid_dead(peer.pid_fd));
    try testing.expectEqual(status.OK, files.fable_unlink_socket(path.ptr, len));
    try testing.expectEqual(status.SYSTEM, files.fable_unlink_socket(path.ptr, len));
    try testing.expectEqual(status.TOO_LARGE, host.fable_dial("/" ++ "x" ** 107, 108));
    try testing.expectEqual(status.BAD_ARGUMENT, host.fable_dial("a\x00b", 3));
    try testing.expectEqual(status.BAD_ARGUMENT, host.fable_listen(null, 3, 0o600, 1));
}

test "a peer that died has hung up" {
    var name: [64]u8 = undefined;
    const path = try socketPath(&name);
    const len: u32 = @intCast(path.len);
    const server = host.fable_listen(path.ptr, len, 0o600, 2);
    defer closeAll(&.{server});
    defer _ = files.fable_unlink_socket(path.ptr, len);
    const child: i32 = @intCast(linux.fork());
    if (child == 0) {
        _ = host.fable_dial(path.ptr, len);
        linux.exit_group(0);
    }
    var code: u32 = 0;
    _ = linux.wait4(child, &code, 0, null);
    const served = host.fable_accept(server);
    defer closeAll(&.{served});
    const before = openDescriptors();
    var peer: host.Credentials = undefined;
    try testing.expectEqual(status.HUNG_UP, host.fable_peer_credentials(served, &peer));
    try testing.expectEqual(before, openDescriptors());
}

test "regions: sealed, unsealed, not memory; mapped for observers only when safe" {
    const fd: i32 = @intCast(memory.create("test", control.bytes));
    defer closeAll(&.{fd});
    var facts: files.RegionFacts = undefined;
    try testing.expectEqual(status.OK, files.fable_region_check(fd, &facts));
    try testing.expectEqual(1, facts.is_memory);
    try testing.expectEqual(0, facts.seals & memory.seals_read_only);
    try testing.expectEqual(control.bytes, facts.size_bytes);
    try testing.expectEqual(status.BAD_REGION, observers.fable_control_map(fd));
    const own: *control.Control = @ptrFromInt(@as(usize, @bitCast(memory.mapShared(fd, control.bytes, true))));
    defer memory.unmap(own, control.bytes);
    _ = memory.seal(fd, memory.seals_read_only);
    try testing.expectEqual(status.OK, files.fable_region_check(fd, &facts));
    try testing.expectEqual(memory.seals_read_only, facts.seals & memory.seals_read_only);
    try testing.expectEqual(status.BAD_REGION, observers.fable_control_map(fd)); // no magic yet
    own.magic = control.magic;
    own.control_bytes = control.bytes;
    own.layout_version = control.layout_version + 1;
    try testing.expectEqual(status.ABI_MISMATCH, observers.fable_control_map(fd));
    own.layout_version = control.layout_version;
    const id = observers.fable_control_map(fd);
    try testing.expect(id > 0);
    own.bytes_sent = 77;
    own.waited_ns = 88;
    var stats: @import("channel.zig").Stats = undefined;
    try testing.expectEqual(status.OK, observers.fable_control_stats(@intCast(id), &stats));
    try testing.expectEqual(77, stats.bytes_sent);
    try testing.expectEqual(88, stats.waited_ns);
    own.cpu = 5;
    const ids = [_]u32{ @intCast(id), 0x7fff_ffff };
    var rows: [2 * 28]u32 = @splat(9);
    try testing.expectEqual(1, observers.fable_control_sample(&ids, 2, &rows));
    try testing.expectEqual(77, rows[2]); // bytes_sent, low half
    try testing.expectEqualSlices(u32, &.{ 5, 0, 0, 1 }, rows[24..28]);
    for (rows[28..]) |word| try testing.expectEqual(0, word);
    try testing.expectEqual(status.BAD_ARGUMENT, observers.fable_control_sample(null, 2, &rows));
    try testing.expectEqual(status.BAD_ARGUMENT, observers.fable_control_sample(&ids, 4097, &rows));
    try testing.expectEqual(status.OK, observers.fable_control_unmap(@intCast(id)));
    try testing.expectEqual(status.BAD_HANDLE, observers.fable_control_unmap(@intCast(id)));
    try testing.expectEqual(status.BAD_HANDLE, observers.fable_control_stats(@intCast(id), &stats));
    var copy: files.RegionFacts = undefined;
    const duplicate = host.fable_dup(fd);
    _ = files.fable_region_check(duplicate, &copy);
    try testing.expectEqual(facts.inode, copy.inode);
    try testing.expectEqual(status.OK, host.fable_close(duplicate));
    try testing.expectEqual(status.SYSTEM, host.fable_close(duplicate));
    try testing.expectEqual(status.SYSTEM, files.fable_region_check(duplicate, &copy));
    try testing.expectEqual(status.BAD_ARGUMENT, files.fable_region_check(-1, &copy));
    const pair = try seqpacket();
    defer closeAll(&pair);
    _ = files.fable_region_check(pair[0], &copy);
    try testing.expectEqual(0, copy.is_memory);
}

test "environment, program, spawn: arguments are checked" {
    var out: [4096]u8 = undefined;
    try testing.expect(process.fable_executable(&out, out.len) > 1);
    try testing.expectEqual(status.TOO_LARGE, process.fable_executable(&out, 1));
    const path_bytes = process.fable_getenv("PATH", 4, &out, out.len);
    try testing.expect(path_bytes > 0);
    try testing.expectEqual(status.TOO_LARGE, process.fable_getenv("PATH", 4, &out, @intCast(path_bytes - 1)));
    try testing.expectEqual(status.EMPTY, process.fable_getenv("PAT", 3, &out, out.len));
    try testing.expectEqual(status.BAD_ARGUMENT, process.fable_getenv("A=", 2, &out, out.len));
    try testing.expectEqual(status.BAD_ARGUMENT, process.fable_getenv("", 0, &out, out.len));
    try testing.expectEqual(status.BAD_ARGUMENT, process.fable_spawn("true\x00", 5, null, 0, null, 0));
    try testing.expectEqual(status.BAD_ARGUMENT, process.fable_spawn("/bin/true", 9, null, 0, null, 0));
    try testing.expectEqual(status.BAD_ARGUMENT, process.fable_spawn("/bin/true\x00", 10, "NAME\x00", 5, null, 0));
    try testing.expectEqual(status.SYSTEM, process.fable_spawn("/no/such\x00", 9, null, 0, null, 0));
    try testing.expectEqual(@as(i32, @intFromEnum(linux.E.NOENT)), status.lastErrno());
}

test "the machine" {
    var words: [256]u32 = undefined;
    const used = machine.fable_affinity(&words, words.len);
    try testing.expect(used >= 1);
    try testing.expectEqual(status.TOO_LARGE, machine.fable_affinity(&words, 0));
    const cpu: u32 = @intCast(machine.fable_cpu());
    try testing.expect(words[cpu / 32] >> @intCast(cpu % 32) & 1 == 1);
    try testing.expectEqual(status.BAD_ARGUMENT, machine.fable_pin(-2));
    try testing.expectEqual(status.OK, machine.fable_pin(-1));
    try testing.expectEqual(status.BAD_ARGUMENT, machine.fable_capability(0));
    try testing.expectEqual(status.BAD_ARGUMENT, machine.fable_capability(9));
    try testing.expectEqual(1, machine.fable_capability(2));
    var p50_ps: u32 = 0;
    try testing.expectEqual(status.BAD_ARGUMENT, machine.fable_line_ns(0, 0, 100, &p50_ps));
    try testing.expectEqual(status.BAD_ARGUMENT, machine.fable_line_ns(0, 1, 0, &p50_ps));
}

test "what passes for a doorbell is a connected Unix stream socket, and nothing else" {
    var stream: [2]i32 = undefined;
    try testing.expectEqual(status.OK, host.fable_socketpair(1, &stream));
    defer closeAll(&stream);
    try testing.expectEqual(1, host.fable_socket_check(stream[0]));
    const packets = try seqpacket();
    defer closeAll(&packets);
    try testing.expectEqual(5, host.fable_socket_check(packets[0]));
    const listening: i32 = @intCast(linux.socket(linux.AF.UNIX, linux.SOCK.STREAM, 0));
    const internet: i32 = @intCast(linux.socket(linux.AF.INET, linux.SOCK.STREAM, 0));
    var pipe: [2]i32 = undefined;
    try testing.expectEqual(0, linux.pipe2(&pipe, .{}));
    defer closeAll(&.{ listening, internet, pipe[0], pipe[1] });
    // Bound to an abstract name of the kernel's choice.
    const family: u16 = linux.AF.UNIX;
    try testing.expectEqual(0, linux.bind(listening, @ptrCast(&family), 2));
    try testing.expectEqual(0, linux.listen(listening, 1));
    for ([_]i32{ listening, internet, pipe[0], pipe[1], 9999 }) |fd| try testing.expectEqual(0, host.fable_socket_check(fd));
    try testing.expectEqual(status.BAD_ARGUMENT, host.fable_socket_check(-1));
}
