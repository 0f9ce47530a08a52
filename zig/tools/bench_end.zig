//! One end of a real FABLE channel in a benchmark process: its own sealed regions, exchanged with the other process as descriptors over a
//! socket, attached with all checks. Then messages through cursors (rings) or through the copying calls (kernel transports).

const std = @import("std");
const fable = @import("fable");
const os = @import("bench_os.zig");
const Options = @import("bench_options.zig").Options;
const abi = fable.abi;

extern fn fable_init() callconv(.c) i32;
extern fn fable_channel_new(*abi.ChannelOptions) callconv(.c) i32;
extern fn fable_channel_attach(*abi.Peer) callconv(.c) i32;
extern fn fable_channel_close(u32) callconv(.c) i32;
extern fn fable_frame_send(i32, [*]const u8, u32, [*]const i32, u32) callconv(.c) i32;
extern fn fable_frame_receive(i32, [*]u8, u32, [*]i32, u32, *u32) callconv(.c) i32;
extern fn fable_socketpair(u32, *[2]i32) callconv(.c) i32;
extern fn fable_close(i32) callconv(.c) i32;
extern fn fable_switch(u32, u32, u32, u32) callconv(.c) i32;
extern fn fable_attend(u32) callconv(.c) i32;
extern fn fable_pid_open(u32) callconv(.c) i32;
extern fn fable_wait([*]abi.WaitEntry, u32, i32, u32, i32) callconv(.c) i32;
extern fn fable_pump(u32) callconv(.c) i32;
extern fn fable_receive(u32, [*]u8, u32) callconv(.c) i32;

pub const WriteCursor = fable.core.cursor.WriteCursor;
pub const ReadCursor = fable.core.cursor.ReadCursor;
pub const Channel = abi.call.Channel;

/// Made before the fork; each process then takes its side.
pub const Meeting = struct {
    sockets: [2]i32,
    pids: [2]i32 = .{ 0, 0 },

    pub fn create() os.Error!Meeting {
        var m: Meeting = .{ .sockets = undefined };
        // before the library starts: it must start in each process by itself
        const linux = std.os.linux;
        if (os.failed(linux.socketpair(linux.AF.UNIX, linux.SOCK.SEQPACKET | linux.SOCK.CLOEXEC, 0, &m.sockets))) return error.Socket;
        m.pids[0] = linux.getpid();
        return m;
    }
};

pub const End = struct {
    handle: u32,
    channel: *Channel,
    spin_ns: u32,
    side: u1,

    pub fn open(meeting: Meeting, side: u1, options: Options) End {
        check(fable_init(), "start the library");
        var made = std.mem.zeroes(abi.ChannelOptions);
        made.size_bytes = @sizeOf(abi.ChannelOptions);
        made.role = @as(u32, side) + 1;
        const code = options.transport.code() orelse unreachable;
        made.transport = if (code <= 4) code else 1;
        made.trust = if (options.trust == .trusted) 1 else 2;
        made.ring_bytes = options.ring_bytes;
        made.max_message_bytes = @max(options.size_bytes, 1 << 20);
        check(fable_channel_new(&made), "make a channel");
        const socket = meeting.sockets[side];
        const shared = made.transport != 4;

        var offer: [5]i32 = undefined;
        var count: u32 = 0;
        for ([_]i32{ made.control_fd, made.ring_fd, made.peer_doorbell_fd, made.peer_link_fd, made.peer_data_fd }) |fd| {
            if (fd < 0) continue;
            offer[count] = fd;
            count += 1;
        }
        const pid: u32 = @intCast(std.os.linux.getpid());
        check(fable_frame_send(socket, std.mem.asBytes(&pid), 4, &offer, count), "pass descriptors on");
        for (offer[0..count]) |fd| _ = fable_close(fd);

        var got: [5]i32 = undefined;
        var peer_pid: u32 = 0;
        receive(socket, &peer_pid, &got, &count);
        var peer = std.mem.zeroes(abi.Peer);
        peer.size_bytes = @sizeOf(abi.Peer);
        peer.handle = made.handle;
        peer.trust = made.trust;
        peer.control_fd = got[0];
        peer.ring_fd = if (shared) got[1] else -1;
        peer.doorbell_fd = if (side == 1) got[if (shared) 2 else 1] else -1;
        peer.link_fd = if (side == 1) got[if (shared) 3 else 2] else -1;
        peer.data_fd = if (side == 1 and !shared) got[3] else -1;
        peer.pid_fd = fable_pid_open(peer_pid);
        check(fable_channel_attach(&peer), "attach");
        var refused: i32 = 0;
        const channel = abi.call.enter(made.handle, &refused) orelse os.die(1, "a fresh handle is refused: {d}", .{refused});
        if (code > 4) move(made.handle, channel, code, options);
        return .{ .handle = made.handle, .channel = channel, .spin_ns = options.spin_ns, .side = side };
    }

    /// Both directions go on through `code`: each end orders its own and waits for the other's.
    fn move(handle: u32, channel: *Channel, code: u32, options: Options) void {
        const status = fable_switch(handle, code, options.ring_bytes, 1);
        if (status == fable.status.UNSUPPORTED) os.die(3, "{t} is not possible here, or not to an untrusted peer", .{options.transport});
        check(status, "order another transport");
        var nothing: [1]u8 = undefined;
        while (@intFromEnum(channel.out.kind) != code or @intFromEnum(channel.in.kind) != code or channel.epochs.phase != .idle) {
            check(fable_attend(handle), "attend");
            const got = fable_receive(handle, &nothing, 0);
            if (got != fable.status.EMPTY) os.die(1, "moving to {t} ended with status {d}", .{ options.transport, got });
            _ = std.os.linux.sched_yield();
        }
    }

    fn receive(socket: i32, pid: *u32, fds: *[5]i32, count: *u32) void {
        while (true) {
            const got = fable_frame_receive(socket, std.mem.asBytes(pid), 4, fds, 5, count);
            if (got == fable.status.EMPTY) {
                _ = std.os.linux.sched_yield();
                continue;
            }
            check(got, "receive descriptors");
            return;
        }
    }

    pub fn close(end: *End) void {
        _ = fable_channel_close(end.handle);
    }

    pub fn writeCursor(end: *End) WriteCursor {
        return .of(&end.channel.out.transport.ring.writer);
    }

    pub fn readCursor(end: *End) ReadCursor {
        return .of(&end.channel.in.transport.ring.reader);
    }

    /// Spins for the next message, with the core's own pacing. The cursor stays in registers. `written`: where this end's writer is.
    pub inline fn spinFor(end: *End, c: *ReadCursor, written: u64) []const u8 {
        while (true) {
            end.channel.pacer.missed(fable.system);
            if (c.next()) |message| {
                end.channel.pacer.found(written);
                return message;
            }
        }
    }

    /// Room for `size` bytes in place, once the other end has made some.
    pub fn waitForRoom(end: *End, t: anytype, size: u32) []u8 {
        while (true) {
            t.flush();
            t.acknowledge();
            _ = t.writer.refresh();
            if (t.writer.reserve(size)) |room| return room;
            end.wait(fable.core.wait.writable);
        }
    }

    /// Kernel transports: until everything published has left this process.
    pub fn drain(end: *End) void {
        while (fable_pump(end.handle) > 0) end.wait(fable.core.wait.writable);
        _ = fable_pump(end.handle); // once more: nothing follows
    }

    /// Waits in the channel's own way: spinning, on the futex, or spinning and then on the doorbell.
    pub noinline fn wait(end: *End, want: u32) void {
        var entry: [1]abi.WaitEntry = .{.{ .handle = end.handle, .want = want, .ready = 0, .reserved = 0 }};
        const ready = fable_wait(&entry, 1, 10_000, end.spin_ns, -1);
        if (ready <= 0) os.die(1, "side {d} waited in vain for {d}: {d}", .{ end.side, want, ready });
    }
};

fn check(status: i32, comptime what: []const u8) void {
    if (status < 0) os.die(1, "cannot " ++ what ++ ": status {d}", .{status});
}
