//! One history: from a seed two ends, what they are and do, in which order they run, and what goes wrong around them; then everything has
//! to arrive, both agree, and nothing is left behind.

const std = @import("std");
const fable = @import("fable");
const breaking = @import("breaking.zig");
const choice = @import("choice.zig");
const ends = @import("end.zig");
const fibers = @import("fibers.zig");
const flows = @import("flows.zig");
const kernel = @import("kernel.zig");
const oracle = @import("oracle.zig");
const regions = @import("regions.zig");
const report = @import("report.zig");
const system = @import("system.zig");
const End = ends.End;
const Kind = ends.Kind;

/// What may go wrong in a history.
pub const Faults = packed struct {
    /// Memory and descriptors run out.
    failures: bool = false,
    /// Paths are shut down and reset.
    breaks: bool = false,
    /// An end stands still for a while.
    stops: bool = false,
    kill: bool = false,
    /// An operator orders moves, twice, late, in any order.
    orders: bool = false,
};

const Config = struct {
    faults: Faults,
    turns: u32,
    kill_after: u32 = 0,
    victim: u8 = 0,
};

pub const Totals = struct { histories: u64 = 0, messages: u64 = 0, moves: u64 = 0, kills: u64 = 0, breaks: u64 = 0, steps: u64 = 0 };
pub var totals: Totals = .{};

/// A sleep that ends by itself within this time is no rest.
const nap_ns = 20_000_000;
const max_turns = 150_000;

var stopped_until: [2]u32 = .{ 0, 0 };

/// Null: everything held.
pub fn run(seed: u64) ?[]const u8 {
    choice.seed(seed);
    reset();
    const config = configure();
    body(config);
    totals.histories += 1;
    totals.steps += report.step;
    totals.breaks += breaking.count;
    for (&oracle.ways) |*way| totals.messages += way.got;
    for (&ends.ends) |*e| {
        totals.moves += e.moves;
        if (e.dead()) totals.kills += 1;
    }
    return report.failure;
}

pub fn reset() void {
    report.failure = null;
    report.step = 0;
    kernel.reset();
    oracle.reset();
    stopped_until = .{ 0, 0 };
    breaking.count = 0;
    system.interleaving = 0;
    system.dying = dying;
    kernel.failures = 0;
    for (&ends.ends, 0..) |*e, i| {
        e.* = .{ .which = @intCast(i) };
        fibers.start(@intCast(i), ends.run);
    }
}

fn dying(which: u8) void {
    const e = &ends.ends[which];
    if (e.opened and !e.closed and e.channel.attached) e.out().promised = ends.promised(e);
}

fn configure() Config {
    const faults: Faults = @bitCast(@as(u5, @intCast(if (choice.once(4)) 0 else choice.below(32))));
    const kind = choice.among(Kind, &.{ .mempipe, .mempipe, .mempipe_spin, .mempipe_futex, .unix });
    const trust = choice.among(fable.core.channel.Trust, &.{ .trusted, .trusted, .untrusted });
    const max_message = choice.among(u32, &.{ 100, 3000, oracle.max_size, oracle.max_size });
    const no_membarrier = choice.once(4);
    for (&ends.ends, 0..) |*e, i| {
        e.options = .{
            .role = if (i == 0) .initiator else .acceptor,
            .kind = kind,
            .trust = trust,
            .ring_bytes = choice.among(u32, &.{ 4096, 4096, 8192, 65536 }),
            .max_message = max_message,
            .no_membarrier = no_membarrier,
            .windows = choice.once(2),
        };
        e.style = .{ .windows = e.options.windows, .refills = choice.once(2), .blocks = !e.options.windows and choice.once(2) };
        e.abrupt = choice.once(6);
        kernel.processes[i].cpu = choice.below(2);
    }
    kernel.socket_bytes = choice.among(u32, &.{ 100, 1000, 4608, 40_000 });
    kernel.pipe_pages = choice.among(u32, &.{ 1, 2, 4, 16 });
    kernel.link_packets = choice.among(u32, &.{ 277, 40, 6 });
    flows.partial = choice.once(2);
    ends.orders_every = choice.among(u32, &.{ 6, 15, 40, 200 });
    ends.closes_early = choice.once(6);
    ends.asks = choice.once(2);
    return .{
        .faults = faults,
        .turns = 30 + choice.below(300),
        .kill_after = choice.below(1500),
        .victim = @intCast(choice.below(2)),
    };
}

fn body(config: Config) void {
    report.trace("{any}; {s}, {s}, rings of {d} and {d}, A {any}, B {any}", .{ config, @tagName(ends.ends[0].options.kind), @tagName(ends.ends[0].options.trust), ends.ends[0].options.ring_bytes, ends.ends[1].options.ring_bytes, ends.ends[0].style, ends.ends[1].style });
    if (config.faults.failures and choice.once(8)) kernel.failures = 10;
    const attached = setUp();
    kernel.failures = 0;
    if (report.failure != null) return;
    if (!attached) return leave();
    if (config.faults.failures) kernel.failures = 5 + choice.below(100);
    if (config.faults.kill) kernel.processes[config.victim].last_call = kernel.processes[config.victim].calls + config.kill_after;
    system.interleaving = choice.among(u32, &.{ 0, 3, 10, 50 });
    phase(.active);
    if (!active(config)) return;
    kernel.failures = 0;
    stopped_until = .{ 0, 0 };
    if (!settle(config)) return;
    if (choice.once(4)) {
        // dies in the middle of its end
        const process = &kernel.processes[choice.below(2)];
        if (!process.dead) process.last_call = process.calls + 1 + choice.below(60);
    }
    leave();
}

fn settle(config: Config) bool {
    phase(.settling);
    if (!quiet()) return false;
    atRest(config);
    return report.failure == null;
}

/// What follows a small program: all that was begun is done, and both ends leave.
pub fn conclude() void {
    if (settle(.{ .faults = .{ .failures = true }, .turns = 0 })) leave();
}

/// Both ends are made and know each other. False: one of them could not.
pub fn setUp() bool {
    const pid_fds = choice.once(2);
    for (0..2) |i| {
        one(@intCast(i));
        if (report.failure != null) return false;
    }
    const opened = ends.ends[0].opened and ends.ends[1].opened;
    for (&ends.ends, 0..) |*e, i| {
        const made: @TypeOf(e.offer) = if (e.other().opened) e.other().offer else .{};
        const from: u8 = @intCast(1 - i);
        const to: u8 = @intCast(i);
        e.peer = .{
            .trust = e.options.trust,
            .control = kernel.pass(from, made.control, to),
            .ring = kernel.pass(from, made.ring, to),
            .doorbell = kernel.pass(from, made.doorbell, to),
            .data = kernel.pass(from, made.data, to),
            .link = kernel.pass(from, made.link, to),
            .pid = if (pid_fds) kernel.makeLife(to, from) else -1,
        };
    }
    var attached = opened;
    for (&ends.ends, 0..) |*e, i| {
        e.phase = .attach;
        if (!e.opened) {
            dropPeer(e);
            e.closed = true;
        } else if (!opened) {
            dropPeer(e);
        } else {
            one(@intCast(i));
            if (report.failure != null) return false;
        }
        if (e.outcome != .ok) attached = false;
    }
    for (&ends.ends) |*e| if (e.outcome != .ok and (e.outcome != .system or kernel.failures == 0)) {
        report.note("setting up was answered {s}", .{@tagName(e.outcome)});
    };
    if (!attached) for (&ends.ends) |*e| {
        e.abrupt = true;
    };
    return attached;
}

fn dropPeer(e: *End) void {
    inline for (.{ "control", "ring", "doorbell", "data", "link", "pid" }) |name| {
        const fd = @field(e.peer, name);
        if (fd >= 0) kernel.close(e.which, fd);
    }
}

fn phase(next: ends.Phase) void {
    for (&ends.ends) |*e| e.phase = next;
}

/// Everybody's turn comes at random, and so does what happens around them.
fn active(config: Config) bool {
    while (report.step < config.turns) {
        around(config);
        const able = runnable();
        if (able.count == 0) {
            if (!pass()) jump();
            report.step += 1;
            continue;
        }
        one(able.ends[choice.below(able.count)]);
        if (report.failure != null) return false;
    }
    return true;
}

/// Runs `which` until it gives way.
pub fn one(which: u8) void {
    report.step += 1;
    kernel.now_ns += 1000;
    system.turn_calls = 0;
    fibers.resumeFiber(which);
}

const Able = struct { ends: [2]u8, count: u32 };

fn runnable() Able {
    var able: Able = .{ .ends = undefined, .count = 0 };
    for (0..2) |i| {
        if (kernel.processes[i].dead or stopped_until[i] > report.step or !kernel.wakes(@intCast(i))) continue;
        able.ends[able.count] = @intCast(i);
        able.count += 1;
    }
    return able;
}

/// Nobody can run: bytes arrive, or a nap ends. False: everybody rests.
fn pass() bool {
    var arrived = false;
    for (&flows.flows) |*flow| if (flow.underWay()) {
        flow.arrive(true);
        arrived = true;
    };
    if (arrived) return true;
    const deadline = firstDeadline() orelse return false;
    if (deadline > kernel.now_ns + nap_ns) return false;
    kernel.now_ns = deadline;
    return true;
}

fn firstDeadline() ?u64 {
    var first: ?u64 = null;
    for (&kernel.processes) |*process| {
        if (process.dead) continue;
        const deadline = process.deadline orelse continue;
        if (first == null or deadline < first.?) first = deadline;
    }
    return first;
}

fn jump() void {
    if (firstDeadline()) |deadline| kernel.now_ns = @max(kernel.now_ns, deadline);
}

/// Until both ends rest. Bounded: what has work to do forever never ends.
fn quiet() bool {
    const most = report.step + max_turns;
    var slices: u32 = 0;
    var dead: u32 = 0;
    while (report.step < most) {
        if (deadEnds() != dead) {
            dead = deadEnds();
            slices = 0;
        }
        if (choice.once(8)) arriveSome();
        const able = runnable();
        if (able.count > 0) {
            one(able.ends[choice.below(able.count)]);
            if (report.failure != null) return false;
            continue;
        }
        if (pass()) continue;
        // who sleeps on a futex looks at the peer's life now and then
        if (!onFutex() or slices == 3) return true;
        slices += 1;
        jump();
    }
    report.note("no rest after {d} turns", .{max_turns});
    return false;
}

fn deadEnds() u32 {
    var count: u32 = 0;
    for (&kernel.processes) |*process| count += @intFromBool(process.dead);
    return count;
}

fn onFutex() bool {
    for (&kernel.processes) |*process| if (!process.dead and process.sleep == .futex) return true;
    return false;
}

// ---- what happens around the ends ----

fn arriveSome() void {
    for (&flows.flows) |*flow| if (flow.underWay() and choice.once(2)) flow.arrive(false);
}

fn around(config: Config) void {
    if (choice.once(4)) arriveSome();
    if (config.faults.stops and choice.once(40)) stopped_until[choice.below(2)] = report.step + choice.below(60);
    if (config.faults.breaks and choice.once(30)) breaking.something();
    if (config.faults.orders and choice.once(30)) {
        const order = ends.randomOrder();
        for (&ends.ends) |*e| for (0..choice.below(3)) |_| e.push(order);
    }
}

// ---- checks ----

fn atRest(config: Config) void {
    for (&ends.ends) |*e| {
        if (e.closed or e.dead()) continue;
        const peer = e.other();
        const over = peer.closed or peer.dead();
        if ((over or peer.half_closed) and e.read_end == null) return report.note("{c} never learned that its peer has ended", .{letter(e)});
        if (over) continue;
        const way = e.out();
        if (way.got != way.sent or way.begun != way.sent) return report.note("{c}: {d} messages begun, {d} sent, {d} arrived, and everybody rests", .{ letter(e), way.begun, way.sent, way.got });
        const c = &e.channel;
        if (c.out.epoch != peer.channel.in.epoch or c.out.kind != peer.channel.in.kind) return report.note("{c} writes epoch {d}, {s}, its peer reads {d}, {s}", .{ letter(e), c.out.epoch, @tagName(c.out.kind), peer.channel.in.epoch, @tagName(peer.channel.in.kind) });
        if (!e.half_closed and ((c.epochs.phase != .idle and c.epochs.phase != .making) or c.epochs.old != null)) return report.note("{c} is {s} for ever", .{ letter(e), @tagName(c.epochs.phase) });
        const wished = e.wished orelse c.out.kind;
        if (!e.half_closed and !ends.asks and !config.faults.failures and breaking.count == 0 and c.epochs.phase == .idle and c.out.kind != wished) return report.note("{c} writes {s} instead of {s}", .{ letter(e), @tagName(c.out.kind), @tagName(wished) });
        figures(e, peer);
    }
}

fn figures(e: *End, peer: *End) void {
    const way = e.out();
    const mine = e.channel.bell.own;
    const theirs = peer.channel.bell.own;
    if (mine.messages_sent != way.sent or mine.bytes_sent != way.sent_bytes) report.note("{c} counts {d} messages of {d} bytes, sent were {d} of {d}", .{ letter(e), mine.messages_sent, mine.bytes_sent, way.sent, way.sent_bytes });
    if (theirs.messages_delivered != way.got or theirs.bytes_delivered != way.got_bytes) report.note("{c} counts {d} messages of {d} bytes, {d} of {d} arrived", .{ letter(peer), theirs.messages_delivered, theirs.bytes_delivered, way.got, way.got_bytes });
}

fn letter(e: *const End) u8 {
    return if (e.which == 0) 'A' else 'B';
}

/// Both ends close, in some order and manner, and nothing stays behind.
fn leave() void {
    phase(.closing);
    kernel.now_ns += 2_000_000_000; // whoever sleeps looks up
    if (!quiet()) return;
    for (&ends.ends) |*e| if (!e.closed and !e.dead()) return report.note("{c} cannot end", .{letter(e)});
    const held = regions.held();
    const files = kernel.openFiles();
    if (held.mappings != 0 or held.regions != 0 or files != 0) report.note("left behind: {d} files, {d} regions, {d} mappings", .{ files, held.regions, held.mappings });
}
