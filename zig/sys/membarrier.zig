//! membarrier(2): a barrier on every running thread of every registered process, paid for by the one who is about to sleep anyway.

const std = @import("std");
const linux = std.os.linux;

const cmd_global_expedited = 1 << 1;
const cmd_register_global_expedited = 1 << 2;

fn call(cmd: usize) bool {
    return linux.errno(linux.syscall3(.membarrier, cmd, 0, 0)) == .SUCCESS;
}

/// From here on the barriers of others reach this process. False where the kernel refuses: then this process fences by itself.
pub fn register() bool {
    return call(cmd_register_global_expedited) and call(cmd_global_expedited);
}

pub fn global() bool {
    return call(cmd_global_expedited);
}
