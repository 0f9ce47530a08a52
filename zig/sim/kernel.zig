//! The simulated kernel: open files, a table of descriptors for each end, packets with descriptors in them, sleeping, the clock, killing.

const std = @import("std");
const linux = std.os.linux;
const flows = @import("flows.zig");
const regions = @import("regions.zig");
const fibers = @import("fibers.zig");
const report = @import("report.zig");
const choice = @import("choice.zig");
const again = flows.again;
const failure = flows.failure;

pub const ends = fibers.count;
const max_files = 256;
const max_fds = 64;
const max_links = 4;

pub const File = struct {
    pub const Kind = enum { none, region, stream, packets, pipe_read, pipe_write, life };
    kind: Kind = .none,
    refs: u32 = 0,
    /// Region, pipe, link, or the end whose life it is.
    which: u16 = 0,
    side: u8 = 0,
    in: u16 = 0,
    out: u16 = 0,
    tcp: bool = false,
};

const Packet = struct { bytes: [32]u8, files: [3]u16, count: u8 };
const Queue = struct {
    packets: [max_packets]Packet = undefined,
    first: u32 = 0,
    count: u32 = 0,
    const max_packets = 288;
};
/// A packet socket pair; queue[side] is what that side reads.
const Link = struct { used: bool = false, queues: [2]Queue = undefined, gone: [2]bool = .{ false, false }, limit: u32 = 0 };

pub const Sleep = union(enum) {
    awake,
    /// Some of these descriptors.
    poll: []linux.pollfd,
    futex: struct { place: regions.Place, woken: bool },
};

pub const Process = struct {
    fds: [max_fds]?u16 = @splat(null),
    dead: bool = false,
    sleep: Sleep = .awake,
    /// When the sleep ends by itself.
    deadline: ?u64 = null,
    /// System calls so far, and which of them is its last.
    calls: u32 = 0,
    last_call: u32 = std.math.maxInt(u32),
    cpu: u32 = 0,
};

var files: [max_files]File = @splat(.{});
var links: [max_links]Link = @splat(.{});
pub var processes: [ends]Process = @splat(.{});
pub var now_ns: u64 = 0;
/// How much the kernel holds, chosen for each history.
pub var socket_bytes: u32 = 4096;
pub var pipe_pages: u32 = 4;
pub var link_packets: u32 = 277;
/// One call in so many that need memory or a descriptor fails; 0: none.
pub var failures: u32 = 0;
/// In this history.
pub var failed = false;

pub fn self() u8 {
    return fibers.current.?;
}

fn own() *Process {
    return &processes[self()];
}

// ---- files and descriptors ----

fn newFile(file: File) u16 {
    for (&files, 0..) |*one, i| {
        if (one.kind != .none) continue;
        one.* = file;
        return @intCast(i);
    }
    @panic("more files than the simulation has");
}

fn dropFile(which: u16) void {
    const file = &files[which];
    file.refs -= 1;
    if (file.refs > 0) return;
    switch (file.kind) {
        .none => unreachable,
        .life => {},
        .region => regions.drop(file.which),
        .stream => {
            const in = &flows.flows[file.in];
            const out = &flows.flows[file.out];
            out.writer_gone = true;
            in.closeReader(out);
            for ([2]*flows.Flow{ in, out }) |one| {
                one.sides -= 1;
                if (one.sides == 0) one.used = false;
            }
        },
        .pipe_read => closePipe(file.which, true),
        .pipe_write => closePipe(file.which, false),
        .packets => {
            const link = &links[file.which];
            link.gone[file.side] = true;
            const queue = &link.queues[file.side];
            while (queue.count > 0) for (takePacket(queue).filesOf()) |one| dropFile(one);
            if (link.gone[0] and link.gone[1]) link.used = false;
        },
    }
    file.* = .{};
}

fn closePipe(which: u16, reader: bool) void {
    const pipe = &flows.pipes[which];
    if (reader) pipe.readers -= 1 else pipe.writers -= 1;
    if (pipe.readers == 0) pipe.count = 0;
    if (pipe.readers == 0 and pipe.writers == 0) pipe.used = false;
}

/// The lowest free descriptor of `end`, which holds the file.
pub fn install(end: u8, file: u16) i32 {
    for (&processes[end].fds, 0..) |*one, i| {
        if (i < 3 or one.* != null) continue;
        one.* = file;
        files[file].refs += 1;
        return @intCast(i);
    }
    @panic("more descriptors than the simulation has");
}

pub fn fileOf(end: u8, fd: i32) ?*File {
    if (fd < 0 or fd >= max_fds) return null;
    return &files[processes[end].fds[@intCast(fd)] orelse return null];
}

fn fileIndex(end: u8, fd: i32) u16 {
    if (fd >= 0 and fd < max_fds) if (processes[end].fds[@intCast(fd)]) |one| return one;
    report.fail("descriptor {d} is not open", .{fd});
}

pub fn fileHere(fd: i32) *File {
    return &files[fileIndex(self(), fd)];
}

pub fn close(end: u8, fd: i32) void {
    const file = fileIndex(end, fd);
    processes[end].fds[@intCast(fd)] = null;
    dropFile(file);
}

pub fn duplicate(fd: i32) i32 {
    return install(self(), fileIndex(self(), fd));
}

/// A descriptor passed from one end to the other; the first no longer has it.
pub fn pass(from: u8, fd: i32, to: u8) i32 {
    if (fd < 0) return -1;
    const copy = install(to, fileIndex(from, fd));
    close(from, fd);
    return copy;
}

pub fn makeRegion(size: u32) i32 {
    return install(self(), newFile(.{ .kind = .region, .which = regions.create(size) }));
}

pub fn makeStreams(tcp: bool, out: *[2]i32) void {
    const one = flows.newFlow(tcp, socket_bytes);
    const two = flows.newFlow(tcp, socket_bytes);
    out.* = .{
        install(self(), newFile(.{ .kind = .stream, .tcp = tcp, .in = one, .out = two })),
        install(self(), newFile(.{ .kind = .stream, .tcp = tcp, .in = two, .out = one })),
    };
}

pub fn makePipe(out: *[2]i32) void {
    const which = flows.newPipe(pipe_pages);
    out.* = .{ install(self(), newFile(.{ .kind = .pipe_read, .which = which })), install(self(), newFile(.{ .kind = .pipe_write, .which = which })) };
}

pub fn makeLink(out: *[2]i32) void {
    for (&links, 0..) |*one, i| {
        if (one.used) continue;
        one.used = true;
        one.gone = .{ false, false };
        one.limit = link_packets;
        for (&one.queues) |*queue| {
            queue.first = 0;
            queue.count = 0;
        }
        for (out, 0..) |*fd, side| fd.* = install(self(), newFile(.{ .kind = .packets, .which = @intCast(i), .side = @intCast(side) }));
        return;
    }
    @panic("more links than the simulation has");
}

/// A descriptor that becomes readable when `whose` dies.
pub fn makeLife(end: u8, whose: u8) i32 {
    return install(end, newFile(.{ .kind = .life, .which = whose }));
}

// ---- packets ----

pub fn sendPacket(fd: i32, bytes: []const u8, fds: []const i32) isize {
    const file = fileHere(fd);
    const link = &links[file.which];
    if (link.gone[1 - file.side]) return failure(.PIPE);
    const queue = &link.queues[1 - file.side];
    if (queue.count >= link.limit) return again;
    const packet = &queue.packets[(queue.first + queue.count) % Queue.max_packets];
    @memcpy(&packet.bytes, bytes);
    packet.count = @intCast(fds.len);
    for (fds, 0..) |one, i| {
        packet.files[i] = fileIndex(self(), one);
        files[packet.files[i]].refs += 1;
    }
    queue.count += 1;
    return @intCast(bytes.len);
}

fn takePacket(queue: *Queue) Taken {
    const packet = &queue.packets[queue.first];
    queue.first = (queue.first + 1) % Queue.max_packets;
    queue.count -= 1;
    return .{ .packet = packet };
}
const Taken = struct {
    packet: *const Packet,
    fn filesOf(t: Taken) []const u16 {
        return t.packet.files[0..t.packet.count];
    }
};

pub fn receivePacket(fd: i32, out: []u8, fds: []i32, count: *u32) isize {
    const file = fileHere(fd);
    const link = &links[file.which];
    const queue = &link.queues[file.side];
    count.* = 0;
    if (queue.count == 0) return if (link.gone[1 - file.side]) 0 else again;
    const taken = takePacket(queue);
    @memcpy(out, &taken.packet.bytes);
    for (taken.filesOf(), 0..) |one, i| {
        fds[i] = install(self(), one);
        dropFile(one);
    }
    count.* = taken.packet.count;
    return @intCast(out.len);
}

// ---- sleeping ----

pub fn readiness(end: u8, fd: i32, wanted: i16) i16 {
    const file = fileOf(end, fd) orelse return linux.POLL.NVAL;
    var ready: i16 = 0;
    switch (file.kind) {
        .none, .region => {},
        .life => if (processes[file.which].dead) {
            ready |= linux.POLL.IN;
        },
        .stream => {
            const in = &flows.flows[file.in];
            const out = &flows.flows[file.out];
            if (in.readable()) ready |= linux.POLL.IN;
            if (out.writable()) ready |= linux.POLL.OUT;
            if (in.reset) ready |= linux.POLL.ERR;
            if (in.writer_gone and out.reader_gone) ready |= linux.POLL.HUP;
        },
        .packets => {
            const link = &links[file.which];
            if (link.queues[file.side].count > 0 or link.gone[1 - file.side]) ready |= linux.POLL.IN;
            if (link.gone[1 - file.side]) ready |= linux.POLL.HUP;
        },
        .pipe_read => {
            const pipe = &flows.pipes[file.which];
            if (pipe.count > 0) ready |= linux.POLL.IN;
            if (pipe.writers == 0 or pipe.disturbed) ready |= linux.POLL.HUP;
        },
        .pipe_write => {
            const pipe = &flows.pipes[file.which];
            if (pipe.count < pipe.limit or pipe.disturbed) ready |= linux.POLL.OUT;
            if (pipe.readers == 0) ready |= linux.POLL.ERR;
        },
    }
    return ready & (wanted | linux.POLL.ERR | linux.POLL.HUP | linux.POLL.NVAL);
}

pub fn pollOnce(end: u8, fds: []linux.pollfd) usize {
    var count: usize = 0;
    for (fds) |*one| {
        one.revents = readiness(end, one.fd, one.events);
        if (one.revents != 0) count += 1;
    }
    return count;
}

/// What the sleeper waits for has come, or its time is over.
pub fn wakes(end: u8) bool {
    const process = &processes[end];
    if (process.deadline) |time| if (time <= now_ns) return true;
    return switch (process.sleep) {
        .awake => true,
        .poll => |fds| pollOnce(end, fds) != 0,
        .futex => |futex| futex.woken,
    };
}

pub fn futexWake(place: regions.Place) void {
    for (&processes) |*process| switch (process.sleep) {
        .futex => |*futex| if (futex.place.region == place.region and futex.place.offset == place.offset) {
            futex.woken = true;
        },
        else => {},
    };
}

// ---- the end of a process ----

/// Everything it holds goes; lent pages stay with whoever has them.
pub fn kill(end: u8) void {
    processes[end].dead = true;
    for (&regions.mappings) |*one| if (one.size != 0 and one.owner == end) unmap(one);
    for (0..max_fds) |fd| if (processes[end].fds[fd] != null) close(end, @intCast(fd));
}

pub fn unmap(mapping: *regions.Mapping) void {
    if (mapping.region == null) for (&flows.pipes) |*pipe| {
        if (pipe.used) pipe.keepPages(mapping.owner, mapping.address, mapping.size);
    };
    regions.unmap(mapping);
}

/// Descriptors and files that somebody still holds.
pub fn openFiles() u32 {
    var count: u32 = 0;
    for (&files) |*one| {
        if (one.kind != .none) count += 1;
    }
    return count;
}

pub fn describeFile(fd: i32, end: u8) []const u8 {
    return if (fileOf(end, fd)) |file| @tagName(file.kind) else "closed";
}

pub fn reset() void {
    for (&files) |*one| one.* = .{};
    for (&links) |*one| one.used = false;
    processes = @splat(.{});
    failed = false;
    flows.reset();
    regions.reset();
    now_ns = 1_000_000;
}
