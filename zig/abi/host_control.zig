//! Exports for observers: control regions of channels that are others', mapped for reading their figures.

const std = @import("std");
const control = @import("../layout/control.zig");
const memory = @import("../sys/memory.zig");
const Mutex = @import("../sys/mutex.zig").Mutex;
const Observers = @import("../core/observers.zig").Observers;
const Stats = @import("channel.zig").Stats;
const answer = @import("answer.zig");
const check = @import("check.zig");
const status = @import("status.zig");

var observers: Observers(Mutex, *const control.Control, 4096) = .{};

/// Nothing is read of a region that its owner could still shrink. What it says is its owner's word: each is read once.
pub export fn fable_control_map(control_fd: i32) callconv(.c) i32 {
    if (control_fd < 0) return status.BAD_ARGUMENT;
    const facts = memory.facts(control_fd) orelse return status.BAD_REGION;
    if (facts.size != control.bytes or facts.seals & memory.seals_read_only != memory.seals_read_only) return status.BAD_REGION;
    const address = memory.mapShared(control_fd, control.bytes, false);
    if (address < 0) return answer.plain(address);
    const region: *const control.Control = @ptrFromInt(@as(usize, @bitCast(address)));
    const refused = identityOf(region);
    if (refused == status.OK) {
        if (observers.add(region)) |id| return @intCast(id);
    }
    memory.unmap(region, control.bytes);
    return if (refused == status.OK) status.TABLE_FULL else refused;
}

fn identityOf(region: *const volatile control.Control) i32 {
    if (region.magic != control.magic or region.control_bytes != control.bytes) return status.BAD_REGION;
    return if (region.layout_version == control.layout_version) status.OK else status.ABI_MISMATCH;
}

pub export fn fable_control_stats(id: u32, out: ?*anyopaque) callconv(.c) i32 {
    const stats = check.one(Stats, out) orelse return status.BAD_ARGUMENT;
    const region = observers.hold(id) orelse return status.BAD_HANDLE;
    defer observers.release();
    inline for (@typeInfo(Stats).@"struct".fields) |field| {
        @field(stats, field.name) = @atomicLoad(@TypeOf(@field(region, field.name)), &@field(region, field.name), .monotonic);
    }
    return status.OK;
}

/// One row of fable_control_sample.
const Sample = extern struct {
    stats: [@typeInfo(Stats).@"struct".fields.len]u64 align(4),
    cpu: u32,
    state: u32,
    ring_bytes: u32,
    valid: u32,

    comptime {
        if (@sizeOf(Sample) != 28 * 4) @compileError("FABLE_SAMPLE_WORDS");
    }
};

pub export fn fable_control_sample(ids: ?*const anyopaque, count: u32, out: ?*anyopaque) callconv(.c) i32 {
    if (count > 4096) return status.BAD_ARGUMENT;
    const wanted = check.manyConst(u32, ids, count) orelse return status.BAD_ARGUMENT;
    const words = check.many(u32, out, count * (@sizeOf(Sample) / 4)) orelse return status.BAD_ARGUMENT;
    const rows = std.mem.bytesAsSlice(Sample, std.mem.sliceAsBytes(words));
    var valid: i32 = 0;
    for (wanted, rows) |id, *row| {
        row.* = std.mem.zeroes(Sample);
        const region = observers.hold(id) orelse continue;
        defer observers.release();
        inline for (@typeInfo(Stats).@"struct".fields, 0..) |field, index| {
            row.stats[index] = @atomicLoad(@TypeOf(@field(region, field.name)), &@field(region, field.name), .monotonic);
        }
        row.cpu = @atomicLoad(u32, &region.cpu, .monotonic);
        row.state = @atomicLoad(u32, &region.state, .monotonic);
        row.ring_bytes = region.ring_bytes;
        row.valid = 1;
        valid += 1;
    }
    return valid;
}

/// Where the memory lies that its owner writes into, by its owner's word; 0: nobody knows.
pub fn nodeOf(id: u32) u32 {
    const region = observers.hold(id) orelse return 0;
    defer observers.release();
    return @atomicLoad(u32, &region.write_node, .monotonic);
}

pub export fn fable_control_unmap(id: u32) callconv(.c) i32 {
    const region = observers.remove(id) orelse return status.BAD_HANDLE;
    memory.unmap(region, control.bytes);
    return status.OK;
}
