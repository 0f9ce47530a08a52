//! Simulated memory: shared regions with seals that several mappings show, private arenas, and who maps what.
//!
//! Mappings are real ones (of pages that only this process has), so that a store through a read-only mapping, or a look at memory that was
//! given back, stops the simulation on the spot.

const std = @import("std");
const linux = std.os.linux;
const report = @import("report.zig");

pub const max_regions = 96;
pub const max_mappings = 128;

pub const Region = struct {
    /// Descriptors and mappings that keep it.
    holders: u32 = 0,
    size: u32 = 0,
    seals: u32 = 0,
    memory: [*]align(4096) u8 = undefined,
};

pub const Mapping = struct {
    address: usize = 0,
    size: usize = 0,
    owner: u8 = 0,
    /// Null: private.
    region: ?u16 = null,
};

pub var regions: [max_regions]Region = @splat(.{});
pub var mappings: [max_mappings]Mapping = @splat(.{});

const denied: isize = -@as(isize, @intFromEnum(linux.E.PERM));
const no_memory: isize = -@as(isize, @intFromEnum(linux.E.NOMEM));

fn kernelMap(size: usize, shared: bool) usize {
    const flags: linux.MAP = if (shared) .{ .TYPE = .SHARED, .ANONYMOUS = true } else .{ .TYPE = .PRIVATE, .ANONYMOUS = true };
    const rc = linux.mmap(null, size, .{ .READ = true, .WRITE = true }, flags, -1, 0);
    if (linux.errno(rc) != .SUCCESS) @panic("the simulation has no memory left");
    return rc;
}

/// A region with one holder.
pub fn create(size: u32) u16 {
    for (&regions, 0..) |*region, i| {
        if (region.holders != 0) continue;
        region.* = .{ .holders = 1, .size = size, .memory = @ptrFromInt(kernelMap(size, true)) };
        return @intCast(i);
    }
    @panic("more regions than the simulation has");
}

pub fn drop(which: u16) void {
    const region = &regions[which];
    region.holders -= 1;
    if (region.holders == 0) _ = linux.munmap(region.memory, region.size);
}

pub fn mapShared(owner: u8, which: u16, size: u32, writable: bool) isize {
    const region = &regions[which];
    if (size > region.size) return no_memory;
    if (writable and region.seals & linux.F.SEAL_FUTURE_WRITE != 0) return denied;
    // the same pages once more
    const rc = linux.syscall4(.mremap, @intFromPtr(region.memory), 0, size, 1);
    if (linux.errno(rc) != .SUCCESS) @panic("the simulation cannot map a region twice");
    if (!writable) _ = linux.mprotect(@ptrFromInt(rc), size, .{ .READ = true });
    region.holders += 1;
    remember(.{ .address = rc, .size = size, .owner = owner, .region = which });
    return @bitCast(rc);
}

pub fn mapPrivate(owner: u8, size: usize) isize {
    const address = kernelMap(size, false);
    remember(.{ .address = address, .size = size, .owner = owner });
    return @bitCast(address);
}

fn remember(mapping: Mapping) void {
    for (&mappings) |*one| {
        if (one.size != 0) continue;
        one.* = mapping;
        return;
    }
    @panic("more mappings than the simulation has");
}

/// The mapping at `address`, which must be one of the owner's, of that size.
pub fn find(owner: u8, address: usize, size: usize) ?*Mapping {
    for (&mappings) |*one| {
        if (one.size == size and one.address == address and one.owner == owner) return one;
    }
    return null;
}

pub fn unmap(mapping: *Mapping) void {
    _ = linux.munmap(@ptrFromInt(mapping.address), mapping.size);
    const region = mapping.region;
    mapping.* = .{};
    if (region) |which| drop(which);
}

/// Where a word of shared memory lies: the same for everyone who maps it.
pub const Place = struct { region: u16, offset: usize };

pub fn placeOf(owner: u8, address: usize) Place {
    for (&mappings) |*one| {
        if (one.owner != owner or one.size == 0 or address < one.address or address >= one.address + one.size) continue;
        if (one.region) |which| return .{ .region = which, .offset = address - one.address };
    }
    report.fail("a futex outside of shared memory", .{});
}

/// What is still held when it should not be: regions, mappings.
pub fn held() struct { regions: u32, mappings: u32 } {
    var counts: struct { u32, u32 } = .{ 0, 0 };
    for (&regions) |*one| {
        if (one.holders != 0) counts[0] += 1;
    }
    for (&mappings) |*one| {
        if (one.size != 0) counts[1] += 1;
    }
    return .{ .regions = counts[0], .mappings = counts[1] };
}

/// After a history that failed.
pub fn reset() void {
    for (&mappings) |*one| if (one.size != 0) {
        _ = linux.munmap(@ptrFromInt(one.address), one.size);
    };
    for (&regions) |*one| if (one.holders != 0) {
        _ = linux.munmap(one.memory, one.size);
    };
    mappings = @splat(.{});
    regions = @splat(.{});
}
