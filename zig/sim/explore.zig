//! Every interleaving of small programs: depth first over the order in which two ends take their turns, over when a path breaks or an end
//! dies, and over giving way once in the middle of a turn. Nothing is random but what is the same in every leaf.
//!
//! A program is a list of turns for each end. Every leaf ends as a history does: everything arrives, both agree, nothing is left behind.

const std = @import("std");
const breaking = @import("breaking.zig");
const choice = @import("choice.zig");
const ends = @import("end.zig");
const flows = @import("flows.zig");
const history = @import("history.zig");
const kernel = @import("kernel.zig");
const report = @import("report.zig");
const system = @import("system.zig");
const Kind = ends.Kind;

/// What happens at one place of the schedule, tried at each.
const Event = enum { none, path_breaks, dies, order_replaced };

const Program = struct {
    name: []const u8,
    from: Kind,
    to: Kind,
    event: Event = .none,
    /// The writer lays out records itself and crosses when it gets to it.
    windows: bool = false,
};

const programs = [_]Program{
    .{ .name = "memory to a socket", .from = .mempipe, .to = .unix },
    .{ .name = "a socket to memory", .from = .unix, .to = .mempipe },
    .{ .name = "memory to memory, crossing late", .from = .mempipe, .to = .mempipe_futex, .windows = true },
    .{ .name = "a socket to pages, crossing late", .from = .unix, .to = .vmsplice_coop, .windows = true },
    .{ .name = "memory to TCP, which breaks", .from = .mempipe, .to = .tcp, .event = .path_breaks },
    .{ .name = "a socket, which breaks, to memory", .from = .unix, .to = .mempipe, .event = .path_breaks },
    .{ .name = "memory to a socket, and the writer dies", .from = .mempipe, .to = .unix, .event = .dies },
    .{ .name = "a socket to a pipe, and the writer dies", .from = .unix, .to = .pipe, .event = .dies },
    .{ .name = "memory to memory, and the writer dies", .from = .mempipe, .to = .mempipe, .event = .dies },
    .{ .name = "memory to a socket, and another order on the way", .from = .mempipe, .to = .unix, .event = .order_replaced },
};

/// Turns of each end before everything settles.
const turns = 4;

var leaves: u64 = 0;
pub var says = false;

/// Null: everything held in every leaf. `most`: leaves per program at most.
pub fn run(most: u64) ?[]const u8 {
    for (programs) |program| {
        choice.explore();
        defer choice.stopExploring();
        var here: u64 = 0;
        while (here < most) {
            here += 1;
            if (leaf(program)) |failure| {
                std.debug.print("{s}, after {d} leaves, decisions {any}\n", .{ program.name, here, choice.path() });
                return failure;
            }
            if (!choice.next()) break;
        }
        leaves += here;
        if (says) std.debug.print("{d:>8} interleavings held: {s}{s}\n", .{ here, program.name, if (here == most) " (not all)" else "" });
    }
    if (says) std.debug.print("{d:>8} in all\n", .{leaves});
    return null;
}

fn leaf(program: Program) ?[]const u8 {
    choice.seed(1);
    history.reset();
    flows.partial = false;
    kernel.socket_bytes = 200;
    kernel.pipe_pages = 1;
    kernel.link_packets = 277;
    ends.asks = false;
    for (&ends.ends, 0..) |*e, i| e.options = .{
        .role = if (i == 0) .initiator else .acceptor,
        .kind = program.from,
        .trust = .trusted,
        .ring_bytes = 4096,
        .max_message = 3000,
        .no_membarrier = false,
        .windows = program.windows and i == 0,
    };
    for (&ends.ends) |*e| e.style = .{ .windows = e.options.windows };
    if (!history.setUp()) return report.failure;
    for (&ends.ends) |*e| e.phase = .scripted;
    ends.ends[0].wish = program.to;
    schedule(program);
    if (report.failure != null) return report.failure;
    history.conclude();
    return report.failure;
}

/// The turns of both ends in every order, with one event at every place, and one turn cut at every system call.
fn schedule(program: Program) void {
    var left = [2]u32{ turns, turns };
    var happens = program.event != .none;
    // one cut: after so many system calls of a turn the other end runs
    var cut = true;
    while (left[0] + left[1] > 0) {
        if (happens and choice.branch(2) == 1) {
            happens = false;
            happen(program.event);
        }
        const which: u8 = if (left[0] == 0) 1 else if (left[1] == 0) 0 else @intCast(choice.branch(2));
        if (kernel.processes[which].dead or !kernel.wakes(which)) {
            left[which] = 0;
            continue;
        }
        left[which] -= 1;
        if (cut and left[1 - which] > 0) {
            const where = choice.branch(4);
            system.give_way_after = if (where == 0) 0 else where * 3;
            if (where > 0) cut = false;
        }
        history.one(which);
        system.give_way_after = 0;
        if (report.failure != null) return;
    }
}

fn happen(event: Event) void {
    const e = &ends.ends[0];
    switch (event) {
        .none => {},
        .order_replaced => e.wish = .pipe,
        .dies => kernel.processes[0].last_call = kernel.processes[0].calls + 1 + choice.branch(12),
        .path_breaks => switch (e.channel.out.transport) {
            .ring, .heap => {},
            .stream => |*t| breaking.path(0, t.fd, choice.branch(3)),
        },
    }
}
