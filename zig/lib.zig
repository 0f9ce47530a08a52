//! The root of libfable.so: the export list, and for native programs (`@import("fable")`) the modules behind it.
//!
//!   abi → core → layout, with sys passed in; only sys makes system calls.
//!
//! Every exported function is a `pub export fn fable_…` in one of the files of `exported`: the header check and the generator of the
//! TypeScript bindings reflect over exactly that list.

const std = @import("std");
const builtin = @import("builtin");

/// A panic may never unwind into a JavaScript runtime or print into its stderr. None is reachable; a trap is what remains of one.
pub const panic = if (builtin.is_test) std.debug.FullPanic(std.debug.defaultPanic) else std.debug.no_panic;

pub const layout = struct {
    pub const record = @import("layout/record.zig");
    pub const control = @import("layout/control.zig");
};

pub const status = @import("abi/status.zig");

pub const exported = .{
    @import("abi/call.zig"),
    @import("abi/channel.zig"),
    @import("abi/wait.zig"),
    @import("abi/host.zig"),
};

comptime {
    for (exported) |file| _ = file;
}

test {
    std.testing.refAllDecls(layout);
    inline for (exported) |file| std.testing.refAllDecls(file);
}
