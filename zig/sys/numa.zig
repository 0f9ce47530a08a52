//! NUMA: which node a CPU belongs to, which nodes pages lie on, and where pages that do not exist yet should go. Nodes are told as node + 1
//! where 0 means that nobody knows or that there is only one, so that machines of one node pay for none of this.

const std = @import("std");
const linux = std.os.linux;
const files = @import("files.zig");
const os = @import("os.zig");

const page_bytes = 4096;
const MPOL_PREFERRED = 1;
/// As many as one word of the kernel's masks has bits.
pub const most_nodes = 64;
const most_cpus = 8192;
/// Pages that one system call is asked about.
const chunk = 128;

/// 0: nobody looked, 1: one node or no NUMA, 2: several.
var nodes = std.atomic.Value(u8).init(0);

fn several() bool {
    const known = nodes.load(.monotonic);
    if (known != 0) return known == 2;
    var text: [256]u8 = undefined;
    const size = files.readSmall("/sys/devices/system/node/online", &text);
    const many = size > 0 and std.mem.indexOfAny(u8, text[0..@intCast(size)], "-,") != null;
    nodes.store(if (many) 2 else 1, .monotonic);
    return many;
}

/// Any number may come in: it is a peer's word.
pub fn nodeOfCpu(cpu: u32) u32 {
    if (cpu >= most_cpus or !several()) return 0;
    var text: [64]u8 = undefined;
    for (0..most_nodes) |node| {
        const path = std.fmt.bufPrintZ(&text, "/sys/devices/system/cpu/cpu{d}/node{d}", .{ cpu, node }) catch return 0;
        if (linux.errno(linux.access(path, linux.F_OK)) == .SUCCESS) return @intCast(node + 1);
    }
    return 0;
}

/// Pages of a shared mapping that are made from now on come from that node if it has some left, whoever makes them. Pages that are there stay:
/// those that two processes have mapped can only be moved with CAP_SYS_NICE. Where it is refused they come from anywhere, as always.
pub fn prefer(address: [*]u8, size: usize, node: u32) void {
    if (node == 0 or node > most_nodes) return;
    const mask: u64 = @as(u64, 1) << @intCast(node - 1);
    _ = linux.syscall6(.mbind, @intFromPtr(address), size, MPOL_PREFERRED, @intFromPtr(&mask), most_nodes + 1, 0);
}

/// Adds the pages of `size` bytes to `counts`, by node; pages that this process has not touched are on none. Negative errno; NOSYS without NUMA,
/// RANGE for a node beyond `counts`.
pub fn count(address: [*]const u8, size: usize, counts: []u32) isize {
    var at: usize = 0;
    while (at < size) : (at += chunk * page_bytes) {
        const pages = @min(chunk, (size - at + page_bytes - 1) / page_bytes);
        const rc = ask(address + at, pages, page_bytes, counts);
        if (rc < 0) return rc;
    }
    return 0;
}

/// The node that most of some pages lie on, spread evenly.
pub fn homeOf(address: [*]const u8, size: usize) u32 {
    if (!several()) return 0;
    const pages = @max(1, size / page_bytes);
    const looked_at = @min(chunk, pages);
    var counts: [most_nodes]u32 = @splat(0);
    if (ask(address, looked_at, pages / looked_at * page_bytes, &counts) < 0) return 0;
    const most = std.mem.indexOfMax(u32, &counts);
    return if (counts[most] == 0) 0 else @intCast(most + 1);
}

fn ask(address: [*]const u8, pages: usize, stride: usize, counts: []u32) isize {
    var addresses: [chunk]usize = undefined;
    var found: [chunk]i32 = @splat(-1);
    for (addresses[0..pages], 0..) |*one, index| one.* = @intFromPtr(address) + index * stride;
    const rc = os.result(linux.syscall6(.move_pages, 0, pages, @intFromPtr(&addresses), 0, @intFromPtr(&found), 0));
    if (rc < 0) return rc;
    for (found[0..pages]) |node| {
        if (node < 0) continue;
        if (node >= counts.len) return os.failure(.RANGE);
        counts[@intCast(node)] += 1;
    }
    return 0;
}

test "pages are counted, those that are not there on no node, where the kernel can" {
    var memory: [4 * page_bytes]u8 align(page_bytes) = @splat(1);
    var counts: [most_nodes]u32 = @splat(0);
    const rc = count(&memory, memory.len, &counts);
    if (rc == os.failure(.NOSYS) or rc == os.failure(.PERM)) return error.SkipZigTest;
    try std.testing.expectEqual(@as(isize, 0), rc);
    var sum: u32 = 0;
    for (counts) |one| sum += one;
    try std.testing.expectEqual(@as(u32, 4), sum);
    try std.testing.expectEqual(os.failure(.RANGE), count(&memory, memory.len, counts[0..0]));
}

test "no CPU and no node beyond the machine's" {
    try std.testing.expectEqual(@as(u32, 0), nodeOfCpu(most_cpus - 1));
    try std.testing.expectEqual(@as(u32, 0), nodeOfCpu(0xffff_ffff));
    try std.testing.expect(nodeOfCpu(0) <= most_nodes);
    var memory: [page_bytes]u8 align(page_bytes) = undefined;
    prefer(&memory, memory.len, 0);
    prefer(&memory, memory.len, most_nodes + 1);
}
