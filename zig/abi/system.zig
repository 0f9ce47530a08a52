//! The system calls handed to core: one namespace, so that tests can hand in another.

const std = @import("std");
const memory = @import("../sys/memory.zig");
const socket = @import("../sys/socket.zig");
const pipe = @import("../sys/pipe.zig");
const frames = @import("../sys/frames.zig");
const os = @import("../sys/os.zig");
const futex = @import("../sys/futex.zig");
const membarrier = @import("../sys/membarrier.zig");
const clock = @import("../sys/clock.zig");
const numa = @import("../sys/numa.zig");

pub const create = memory.create;
pub const mapShared = memory.mapShared;
pub const mapPrivate = memory.mapPrivate;
pub const unmap = memory.unmap;
pub const populate = memory.populate;
pub const readAt = memory.readAt;
pub const seal = memory.seal;
pub const seals_fixed_size = memory.seals_fixed_size;
pub const seals_read_only = memory.seals_read_only;
pub const processId = memory.processId;
pub const nodeOfCpu = numa.nodeOfCpu;
pub const homeOf = numa.homeOf;
pub const prefer = numa.prefer;

pub const pair = socket.pair;
pub const isPackets = socket.isPackets;
pub const close = socket.close;
pub const send = socket.send;
pub const receive = socket.receive;
pub const ring = socket.ring;
pub const isStream = socket.isStream;
pub const setNonBlocking = socket.setNonBlocking;
pub const sendKept = socket.sendKept;
pub const again = socket.again;
pub const poll = socket.poll;
pub const PollFd = socket.PollFd;
pub const POLLIN = socket.POLLIN;
pub const POLLOUT = socket.POLLOUT;
pub const POLLHUP = socket.POLLHUP;
pub const POLLERR = socket.POLLERR;

pub const pipePair = pipe.pair;
pub const readPipe = pipe.read;
pub const makeOwnPipe = pipe.makeOwn;
pub const readOwnPipe = pipe.readOwn;
pub const writePipe = pipe.write;
pub const writePeersPipe = pipe.writePeers;
pub const splicePages = pipe.splicePages;
pub const isPipe = pipe.isPipe;
pub const tcpPair = pipe.tcpPair;
pub const isTcp = pipe.isTcp;

pub const wake = futex.wake;
pub const futexWait = futex.wait;
pub const globalBarrier = membarrier.global;
pub const nowNs = clock.nowNs;
pub const cpu = clock.cpu;
pub const relax = clock.relax;

/// A memfd of exactly `size` bytes that carries at least `seals`.
pub fn isRegion(fd: i32, size: u32, seals: u32) bool {
    const facts = memory.facts(fd) orelse return false;
    return facts.size == size and facts.seals & seals == seals;
}

/// A connected pair of packet sockets, non-blocking, close-on-exec.
pub fn packets(out: *[2]i32) isize {
    return frames.pair(std.os.linux.SOCK.SEQPACKET, out);
}

pub fn sendPacket(fd: i32, bytes: []const u8, fds: []const i32) isize {
    return frames.send(fd, bytes, fds);
}

/// One packet with its descriptors, which are the caller's. 0: the other side is gone. A packet that does not fit reads as one of another
/// size, without descriptors.
pub fn receivePacket(fd: i32, out: []u8, fds: []i32, count: *u32) isize {
    const got = frames.receive(fd, out, fds);
    count.* = got.fd_count;
    return if (got.truncated) @intCast(out.len + 1) else got.result;
}

pub fn duplicate(fd: i32) isize {
    return os.duplicate(fd, 0);
}
