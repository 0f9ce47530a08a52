//! Exports for files of the runtime folder, memory regions seen from outside, and randomness.

const std = @import("std");
const linux = std.os.linux;
const os = @import("../sys/os.zig");
const files = @import("../sys/files.zig");
const answer = @import("answer.zig");
const check = @import("check.zig");
const status = @import("status.zig");

const E = os.E;

pub export fn fable_lock(path: ?[*]const u8, path_bytes: u32) callconv(.c) i32 {
    const text = check.manyConst(u8, path, path_bytes) orelse return status.BAD_ARGUMENT;
    const rc = files.lock(text);
    return if (rc == os.failure(.AGAIN)) status.EMPTY else fileAnswer(rc);
}

pub export fn fable_unlink_socket(path: ?[*]const u8, path_bytes: u32) callconv(.c) i32 {
    const text = check.manyConst(u8, path, path_bytes) orelse return status.BAD_ARGUMENT;
    return fileAnswer(files.unlinkSocket(text));
}

pub export fn fable_folder(path: ?[*]const u8, path_bytes: u32) callconv(.c) i32 {
    const text = check.manyConst(u8, path, path_bytes) orelse return status.BAD_ARGUMENT;
    return fileAnswer(files.folder(text));
}

pub export fn fable_file_read(path: ?[*]const u8, path_bytes: u32, out: ?[*]u8, capacity_bytes: u32) callconv(.c) i32 {
    const text = check.manyConst(u8, path, path_bytes) orelse return status.BAD_ARGUMENT;
    const buffer = check.many(u8, out, capacity_bytes) orelse return status.BAD_ARGUMENT;
    if (buffer.len > std.math.maxInt(i32)) return status.BAD_ARGUMENT;
    return fileAnswer(files.readSmall(text, buffer));
}

pub export fn fable_file_create(path: ?[*]const u8, path_bytes: u32, bytes: ?[*]const u8, size_bytes: u32, mode: u32) callconv(.c) i32 {
    const text = check.manyConst(u8, path, path_bytes) orelse return status.BAD_ARGUMENT;
    const data = check.manyConst(u8, bytes, size_bytes) orelse return status.BAD_ARGUMENT;
    if (mode > 0o777) return status.BAD_ARGUMENT;
    return fileAnswer(files.create(text, data, mode));
}

pub export fn fable_file_replace(path: ?[*]const u8, path_bytes: u32, bytes: ?[*]const u8, size_bytes: u32, mode: u32) callconv(.c) i32 {
    const text = check.manyConst(u8, path, path_bytes) orelse return status.BAD_ARGUMENT;
    const data = check.manyConst(u8, bytes, size_bytes) orelse return status.BAD_ARGUMENT;
    if (mode > 0o777) return status.BAD_ARGUMENT;
    return fileAnswer(files.replace(text, data, mode));
}

fn fileAnswer(rc: isize) i32 {
    if (rc == os.failure(.INVAL)) return status.BAD_ARGUMENT;
    if (rc == os.failure(.FBIG)) return status.TOO_LARGE;
    return answer.plain(rc);
}

/// 4-byte alignment is enough: JavaScript hands in a Uint32Array.
pub const RegionFacts = extern struct {
    device: u64 align(4),
    inode: u64 align(4),
    size_bytes: u64 align(4),
    seals: u32,
    /// 1: memory that can carry seals. Without them it may be any file of a tmpfs.
    is_memory: u32,

    comptime {
        std.debug.assert(@sizeOf(RegionFacts) == 32 and @offsetOf(RegionFacts, "seals") == 24);
    }
};

pub export fn fable_region_check(fd: i32, out: ?*anyopaque) callconv(.c) i32 {
    const region = check.one(RegionFacts, out) orelse return status.BAD_ARGUMENT;
    if (fd < 0) return status.BAD_ARGUMENT;
    var facts: os.Facts = undefined;
    const rc = os.factsOf(fd, &facts);
    if (rc < 0) return answer.plain(rc);
    const seals = files.seals(fd);
    const is_memory = seals >= 0 and facts.is(linux.S.IFREG);
    region.* = .{
        .device = facts.device,
        .inode = facts.inode,
        .size_bytes = facts.size_bytes,
        .seals = if (is_memory) @intCast(seals) else 0,
        .is_memory = @intFromBool(is_memory),
    };
    return status.OK;
}

pub export fn fable_random(out: ?[*]u8, size_bytes: u32) callconv(.c) i32 {
    const buffer = check.many(u8, out, size_bytes) orelse return status.BAD_ARGUMENT;
    return answer.plain(files.random(buffer));
}
