//! Exports for the machine: CPUs, pinning, what works here, how far two CPUs are apart.

const std = @import("std");
const os = @import("../sys/os.zig");
const capability = @import("../sys/capability.zig");
const line = @import("../sys/line.zig");
const topology = @import("../sys/topology.zig");
const answer = @import("answer.zig");
const check = @import("check.zig");
const status = @import("status.zig");

pub export fn fable_cpu() callconv(.c) i32 {
    return answer.plain(topology.cpu());
}

pub export fn fable_pin(cpu: i32) callconv(.c) i32 {
    if (cpu < -1) return status.BAD_ARGUMENT;
    return answer.plain(topology.pin(cpu));
}

/// The CPUs this thread may use, one bit each: how many words are used.
pub export fn fable_affinity(mask_words: ?*anyopaque, capacity_words: u32) callconv(.c) i32 {
    return affinityOf(0, mask_words, capacity_words);
}

pub export fn fable_thread_affinity(tid: u32, mask_words: ?*anyopaque, capacity_words: u32) callconv(.c) i32 {
    return if (tid == 0) status.BAD_ARGUMENT else affinityOf(tid, mask_words, capacity_words);
}

pub export fn fable_thread_confine(tid: u32, mask_words: ?*const anyopaque, count: u32) callconv(.c) i32 {
    if (tid == 0 or count == 0 or count > @sizeOf(topology.Mask) / 4) return status.BAD_ARGUMENT;
    const words = check.manyConst(u32, mask_words, count) orelse return status.BAD_ARGUMENT;
    var mask: topology.Mask = @splat(0);
    @memcpy(mask[0 .. count * 4], std.mem.sliceAsBytes(words));
    return answer.plain(topology.confine(tid, &mask));
}

fn affinityOf(tid: u32, mask_words: ?*anyopaque, capacity_words: u32) i32 {
    const words = check.many(u32, mask_words, capacity_words) orelse return status.BAD_ARGUMENT;
    var mask: topology.Mask align(4) = undefined;
    const rc = topology.allowedOf(tid, &mask);
    if (rc < 0) return answer.plain(rc);
    const all = std.mem.bytesAsSlice(u32, &mask);
    var used = all.len;
    while (used > 0 and all[used - 1] == 0) used -= 1;
    if (used > words.len) return status.TOO_LARGE;
    @memset(words, 0);
    @memcpy(words[0..used], all[0..used]);
    return @intCast(used);
}

pub export fn fable_capability(which: u32) callconv(.c) i32 {
    if (which == 0 or which > capability.count) return status.BAD_ARGUMENT;
    return @intFromBool(capability.has(@enumFromInt(which)));
}

/// Takes rounds × about 200 ns, on an overloaded machine up to ten seconds.
pub export fn fable_line_ns(cpu_a: u32, cpu_b: u32, rounds: u32, p50_ps: ?*anyopaque) callconv(.c) i32 {
    const out = check.one(u32, p50_ps) orelse return status.BAD_ARGUMENT;
    const most_cpus = @sizeOf(topology.Mask) * 8;
    if (cpu_a == cpu_b or cpu_a >= most_cpus or cpu_b >= most_cpus) return status.BAD_ARGUMENT;
    if (rounds == 0 or rounds > 1 << 28) return status.BAD_ARGUMENT;
    const rc = line.measure(cpu_a, cpu_b, rounds, out);
    if (rc == os.failure(.AGAIN)) return status.UNSUPPORTED;
    return answer.unless(rc, .TIMEDOUT, status.TIMEOUT);
}
