//! Paths that somebody breaks while they are in use.

const choice = @import("choice.zig");
const ends = @import("end.zig");
const flows = @import("flows.zig");
const kernel = @import("kernel.zig");
const report = @import("report.zig");

/// In this history.
pub var count: u32 = 0;

/// Somebody shuts a path down, at either side.
pub fn something() void {
    const e = &ends.ends[choice.below(2)];
    if (e.dead() or !e.opened) return;
    const out = if (choice.once(2)) e.channel.out else e.channel.epochs.draining() orelse return;
    if (!out.live) return;
    switch (out.transport) {
        .ring, .heap => {},
        .stream => |*t| path(e.which, t.fd, choice.below(4)),
    }
}

pub fn path(which: u8, fd: i32, how: u32) void {
    const file = kernel.fileOf(which, fd) orelse return;
    report.trace("the path of {s} breaks, {d}", .{ if (which == 0) "A" else "B", how });
    count += 1;
    end(file, how);
    // Who is in the middle of closing will hand nothing over any more.
    for (&ends.ends) |*e| if (e.closed and e.opened) {
        if (e.out().promised) |before| e.out().promised = @min(before, ends.promised(e));
    };
}

fn end(file: *kernel.File, how: u32) void {
    if (file.kind != .stream) {
        const pipe = &flows.pipes[file.which];
        pipe.disturbed = true;
        if (how == 0) pipe.count = 0;
        return;
    }
    const out = &flows.flows[file.out];
    const in = &flows.flows[file.in];
    out.disturbed = true;
    in.disturbed = true;
    switch (how) {
        0 => out.writer_gone = true,
        1 => out.reader_gone = true,
        2 => {
            out.abort();
            in.abort();
        },
        else => {
            out.writer_gone = true;
            in.writer_gone = true;
        },
    }
}
