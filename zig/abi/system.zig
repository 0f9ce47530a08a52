//! The system calls handed to core: one namespace, so that tests can hand in another.

const memory = @import("../sys/memory.zig");
const socket = @import("../sys/socket.zig");
const futex = @import("../sys/futex.zig");
const membarrier = @import("../sys/membarrier.zig");
const clock = @import("../sys/clock.zig");

pub const create = memory.create;
pub const mapShared = memory.mapShared;
pub const mapPrivate = memory.mapPrivate;
pub const unmap = memory.unmap;
pub const populate = memory.populate;
pub const seal = memory.seal;
pub const seals_fixed_size = memory.seals_fixed_size;
pub const seals_read_only = memory.seals_read_only;
pub const processId = memory.processId;

pub const pair = socket.pair;
pub const close = socket.close;
pub const send = socket.send;
pub const receive = socket.receive;
pub const ring = socket.ring;
pub const isStream = socket.isStream;
pub const setNonBlocking = socket.setNonBlocking;
pub const again = socket.again;
pub const poll = socket.poll;
pub const PollFd = socket.PollFd;
pub const POLLIN = socket.POLLIN;
pub const POLLOUT = socket.POLLOUT;
pub const POLLHUP = socket.POLLHUP;
pub const POLLERR = socket.POLLERR;

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
