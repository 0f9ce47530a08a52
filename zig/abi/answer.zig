//! How the host functions turn what sys answers into a status.

const os = @import("../sys/os.zig");
const status = @import("status.zig");

/// Zero or positive stays, minus errno becomes SYSTEM.
pub fn plain(result: isize) i32 {
    if (result >= 0) return @intCast(result);
    return status.system(os.errnoOf(result));
}

/// The same where `e` says "not now".
pub fn unless(result: isize, e: os.E, otherwise: i32) i32 {
    return if (result == os.failure(e)) otherwise else plain(result);
}

/// A peer that is gone answers with one of several errnos.
pub fn isGone(result: isize) bool {
    return result == os.failure(.PIPE) or result == os.failure(.CONNRESET) or result == os.failure(.NOTCONN);
}
