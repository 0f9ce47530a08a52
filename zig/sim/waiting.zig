//! How an end waits: blocked in the library, or as an event loop does, asleep on its doorbell.

const std = @import("std");
const linux = std.os.linux;
const fable = @import("fable");
const choice = @import("choice.zig");
const kernel = @import("kernel.zig");
const report = @import("report.zig");
const system = @import("system.zig");
const ends = @import("end.zig");
const End = ends.End;
const Block = ends.Block;
const waits = fable.core.wait;
const Waiter = waits.Waiter(system, ends.Channel);

/// Longer than anything but a sleep that nobody ends.
pub const long_ns = 1_000_000_000;
/// Rings that may be under way beyond those asked for, as in the TypeScript library.
const doorbell_slack = 8;

const Set = struct {
    items: [1]Waiter.Item,
    fds: [Waiter.fds_per_item + 1]system.PollFd = undefined,

    fn of(e: *End, want: u32) Set {
        return .{ .items = .{.{ .channel = &e.channel, .want = want }} };
    }
    fn waiter(s: *Set) Waiter {
        return .{ .items = &s.items, .fds = &s.fds };
    }
};

/// For a moment, in the middle of other things.
pub fn brief(e: *End) void {
    const want = 1 + choice.below(3);
    if (!e.style.blocks) {
        doorbell(e);
        if (poll(e, want, choice.below(2) * 2000) == 0 and choice.once(2)) sleep(e, 1_000_000);
    } else {
        var set: Set = .of(e, want);
        var waiter = set.waiter();
        _ = waiter.wait(1, choice.below(2) * 2000, -1);
    }
    ends.checkFault(e);
}

/// Until something happens.
pub fn long(e: *End) void {
    var want: u32 = 0;
    if (e.read_end == null) want |= waits.readable;
    if (e.write_end == null and e.w.busy(e)) want |= waits.writable;
    if (want == 0) {
        // half-closed, a channel counts as writable whatever its path says: what is queued is tried again after a while
        sleep(e, if (e.channel.pump() > 0) 1_000_000 else long_ns);
    } else if (e.style.blocks and e.channel.in.kind != .mempipe_spin) {
        var set: Set = .of(e, want);
        var waiter = set.waiter();
        _ = waiter.wait(1000, 0, -1);
        report.trace("waited for {d}", .{want});
    } else {
        // whoever spins never sleeps, so it is an event loop here
        doorbell(e);
        if (poll(e, want, 0) == 0 and e.block[Block.events] == 0) sleep(e, long_ns);
    }
    ends.checkFault(e);
}

fn poll(e: *End, want: u32, spin_ns: u64) u32 {
    var set: Set = .of(e, want);
    var waiter = set.waiter();
    const ready = waiter.poll(spin_ns, .doorbell);
    report.trace("poll for {d}: {d}", .{ want, ready });
    return ready;
}

/// As an event loop: on the doorbell, and on the peer's life.
fn sleep(e: *End, ns: i64) void {
    var fds = [2]system.PollFd{
        .{ .fd = e.channel.doorbell, .events = linux.POLL.IN, .revents = 0 },
        .{ .fd = e.channel.pid_fd, .events = linux.POLL.IN, .revents = 0 },
    };
    const from: usize = if (e.hung_up) 1 else 0;
    const to: usize = if (e.channel.pid_fd >= 0 and !e.channel.dead) 2 else 1;
    _ = system.poll(fds[from..@max(from, to)], ns);
    if (fds[1].revents != 0) e.channel.peerDied();
    doorbell(e);
}

/// What the runtime's watch of the doorbell does.
fn doorbell(e: *End) void {
    var bytes: [64]u8 = undefined;
    while (!e.hung_up) {
        const count = system.receive(e.channel.doorbell, &bytes, bytes.len);
        if (count == system.again) break;
        if (count <= 0) {
            e.hung_up = true;
            e.channel.doorbellHungUp();
            break;
        }
        e.rings +%= @intCast(count);
    }
    ends.attend(e);
    if (@as(i32, @bitCast(e.rings -% e.block[Block.sleeps])) > doorbell_slack) report.fail("rung {d} times for {d} sleeps and orders", .{ e.rings, e.block[Block.sleeps] });
}
