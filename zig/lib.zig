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
    pub const link = @import("layout/link.zig");
};

pub const core = struct {
    pub const bell = @import("core/bell.zig");
    pub const Writer = @import("core/record_writer.zig").Writer;
    pub const Reader = @import("core/record_reader.zig").Reader;
    pub const cursor = @import("core/cursor.zig");
    pub const pace = @import("core/pace.zig");
    pub const channel = @import("core/channel.zig");
    pub const stream = @import("core/stream.zig");
    pub const epochs = @import("core/epochs.zig");
    pub const heap = @import("core/heap.zig");
    pub const heap_map = @import("core/heap_map.zig");
    pub const wait = @import("core/wait.zig");
    pub const transports = @import("core/transports.zig");
    pub const handles = @import("core/handles.zig");
    pub const joiner = @import("core/joiner.zig");
    pub const fault = @import("core/fault.zig");
};

pub const sys = struct {
    pub const memory = @import("sys/memory.zig");
    pub const socket = @import("sys/socket.zig");
    pub const pipe = @import("sys/pipe.zig");
    pub const futex = @import("sys/futex.zig");
    pub const membarrier = @import("sys/membarrier.zig");
    pub const clock = @import("sys/clock.zig");
    pub const numa = @import("sys/numa.zig");
};

pub const status = @import("abi/status.zig");
pub const header_text = @import("abi/header.zig");
/// The system calls that core is given.
pub const system = @import("abi/system.zig");

pub const abi = struct {
    pub const ChannelOptions = @import("abi/channel.zig").ChannelOptions;
    pub const Peer = @import("abi/channel.zig").Peer;
    pub const Stats = @import("abi/channel.zig").Stats;
    pub const SwitchEvent = core.epochs.Event;
    pub const WaitEntry = core.wait.Entry;
    pub const call = @import("abi/call.zig");
};

pub const exported = .{
    @import("abi/call.zig"),
    @import("abi/channel.zig"),
    @import("abi/epochs.zig"),
    @import("abi/wait.zig"),
    @import("abi/host.zig"),
    @import("abi/host_files.zig"),
    @import("abi/host_net.zig"),
    @import("abi/host_process.zig"),
    @import("abi/host_reactor.zig"),
    @import("abi/host_machine.zig"),
    @import("abi/host_control.zig"),
    @import("abi/numa.zig"),
};

comptime {
    for (exported) |file| _ = file;
}

test {
    std.testing.refAllDecls(layout);
    std.testing.refAllDecls(core);
    std.testing.refAllDecls(sys);
    _ = header_text;
    _ = @import("abi/check.zig");
    _ = @import("abi/channel_test.zig");
    _ = @import("abi/endings_test.zig");
    _ = @import("abi/hostile_test.zig");
    _ = @import("abi/hostile_link_test.zig");
    _ = @import("abi/epochs_test.zig");
    _ = @import("abi/wait_test.zig");
    _ = @import("abi/host_test.zig");
    _ = @import("abi/host_net_test.zig");
    _ = @import("abi/host_reactor_test.zig");
    _ = @import("core/reactor_test.zig");
    inline for (exported) |file| std.testing.refAllDecls(file);
}
