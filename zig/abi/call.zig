//! The library itself: version, start, errno, the block table, the clock.

const status = @import("status.zig");

pub const abi_version: u32 = 1;

pub export fn fable_abi_version() callconv(.c) u32 {
    return abi_version;
}

pub export fn fable_errno() callconv(.c) i32 {
    return status.lastErrno();
}
