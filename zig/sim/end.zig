//! One end of the simulated channel and its program: it writes, reads, waits, moves and closes as the history decides, through the real
//! channel code, and says at once when an answer is none that it may get.

const std = @import("std");
const fable = @import("fable");
const choice = @import("choice.zig");
const fibers = @import("fibers.zig");
const kernel = @import("kernel.zig");
const oracle = @import("oracle.zig");
const report = @import("report.zig");
const system = @import("system.zig");
const reading = @import("reading.zig");
const writing = @import("writing.zig");
const waiting = @import("waiting.zig");
const channels = fable.core.channel;

pub const Channel = channels.Channel(system);
pub const Kind = channels.Kind;
pub const Outcome = channels.Outcome;
pub const Block = channels.Block;

pub const Style = struct {
    /// Lays out records itself, and crosses when it wants.
    windows: bool = false,
    /// Reads by refill() and consume(), else by receive().
    refills: bool = false,
    /// Blocks in the library, else sleeps on its doorbell as an event loop does.
    blocks: bool = false,
};

pub const Phase = enum { open, attach, active, scripted, settling, closing, over };
pub const Order = struct { kind: Kind, ring_bytes: u32, ask: bool };
const max_orders = 8;

pub const End = struct {
    which: u8,
    channel: Channel = undefined,
    block: [channels.block_words]u32 = @splat(0),
    offer: channels.Offer = .{},
    options: channels.Options = undefined,
    peer: channels.Peer = undefined,
    style: Style = .{},
    phase: Phase = .open,
    /// What open or attach answered.
    outcome: Outcome = .ok,
    /// There is a channel to close.
    opened: bool = false,
    half_closed: bool = false,
    closed: bool = false,
    /// Closes without waiting for anything.
    abrupt: bool = false,
    /// What ended reading and writing.
    read_end: ?Outcome = null,
    write_end: ?Outcome = null,
    rings: u32 = 0,
    /// Its doorbell's other side is gone.
    hung_up: bool = false,
    moves: u32 = 0,
    /// Of a script: where its direction is to go, once.
    wish: ?Kind = null,
    turns: u32 = 0,
    orders: [max_orders]Order = undefined,
    order_count: u32 = 0,
    /// The transport that the newest order of this end's own program left the direction with; null: unknown.
    wished: ?Kind = null,
    w: writing.State = .{},
    r: reading.State = .{},

    pub fn other(e: *const End) *End {
        return &ends[1 - e.which];
    }
    pub fn dead(e: *const End) bool {
        return kernel.processes[e.which].dead;
    }
    /// The direction that this end writes.
    pub fn out(e: *const End) *oracle.Way {
        return &oracle.ways[e.which];
    }

    pub fn push(e: *End, next: Order) void {
        if (e.order_count == max_orders) return;
        e.orders[e.order_count] = next;
        e.order_count += 1;
    }
};

pub var ends: [2]End = undefined;
/// How often ends order a move in the active phase: one turn in so many.
pub var orders_every: u32 = 20;
pub var closes_early = false;
/// Whether ends ask each other to move.
pub var asks = true;

pub fn run(which: u8) void {
    const e = &ends[which];
    while (true) {
        report.trace("{s}", .{@tagName(e.phase)});
        switch (e.phase) {
            .open => open(e),
            .attach => attach(e),
            .active => act(e),
            .scripted => follow(e),
            .settling => settle(e),
            .closing => finish(e),
            .over => {},
        }
        fibers.giveWay();
    }
}

fn open(e: *End) void {
    e.outcome = e.channel.open(e.options, &e.block, &e.offer);
    e.opened = e.outcome == .ok;
}

fn attach(e: *End) void {
    e.outcome = e.channel.attach(&e.peer);
    inline for (.{ "control", "ring", "doorbell", "data", "link", "pid" }) |name| system.close(@field(e.peer, name));
}

// ---- a turn of the program ----

fn act(e: *End) void {
    if (e.closed) return;
    if (choice.once(orders_every)) return order(e, randomOrder());
    if (e.order_count > 0 and choice.once(2)) return takeOrder(e);
    switch (choice.below(16)) {
        0...4 => writing.some(e, 1 + choice.below(8)),
        5...9 => _ = reading.some(e, 1 + choice.below(8)),
        10, 11 => waiting.brief(e),
        12 => attend(e),
        13 => look(e),
        14 => tidy(e, false),
        else => if (closes_early) closeSomething(e) else takeEvents(e),
    }
}

/// A turn of a small program (explore.zig): the first end writes and moves, the second reads; each does a little of both.
fn follow(e: *End) void {
    e.turns += 1;
    if (e.wish) |kind| {
        e.wish = null;
        order(e, .{ .kind = kind, .ring_bytes = 0, .ask = false });
    }
    attend(e);
    if (e.block[Block.crossing] == 1 and e.turns > 2) writing.cross(e);
    if (e.which == 0) writing.some(e, 2) else _ = reading.some(e, 2);
    if (e.turns % 2 == 0) if (e.which == 0) {
        _ = reading.some(e, 2);
    } else writing.some(e, 1);
}

const kinds = [_]Kind{ .mempipe, .mempipe_spin, .mempipe_futex, .unix, .tcp, .tcp_nodelay, .pipe, .vmsplice_coop, .shmem_pipe };

pub fn randomOrder() Order {
    return .{
        .kind = choice.among(Kind, &kinds),
        .ring_bytes = choice.among(u32, &.{ 0, 0, 4096, 8192, 65536 }),
        .ask = asks and choice.once(2),
    };
}

fn takeOrder(e: *End) void {
    e.order_count -= 1;
    order(e, e.orders[e.order_count]);
}

pub fn order(e: *End, what: Order) void {
    const c = &e.channel;
    const outcome = if (what.ask) c.ask(what.kind, what.ring_bytes, 2) else c.switchTo(what.kind, what.ring_bytes, 1);
    report.trace("{s} {s} {d}: {s}", .{ if (what.ask) "ask" else "switch", @tagName(what.kind), what.ring_bytes, @tagName(outcome) });
    switch (outcome) {
        .ok, .empty => {
            if (what.ask) e.other().wished = null else e.wished = what.kind;
        },
        .no_space => e.wished = null, // and the one before was taken back
        .system => if (!kernel.failed) report.fail("a move failed with errno {d}", .{e.block[Block.errno]}),
        .closed => if (!e.half_closed) report.fail("a move is refused because this end is closed", .{}),
        .unsupported => if (what.kind != .vmsplice_coop or e.options.trust == .trusted) report.fail("{s} is unsupported", .{@tagName(what.kind)}),
        else => report.fail("a move was answered {s}", .{@tagName(outcome)}),
    }
    checkFault(e);
}

pub fn attend(e: *End) void {
    e.channel.attend();
    e.channel.repair();
    checkFault(e);
}

/// Calls that may come at any time.
fn look(e: *End) void {
    const c = &e.channel;
    switch (choice.below(4)) {
        0 => {
            const queued = c.pump();
            if (queued < 0) writing.ended(e, @enumFromInt(queued));
        },
        1 => {
            const free = c.space();
            if (free < 0) writing.ended(e, @enumFromInt(free));
        },
        2 => _ = c.writable(),
        else => _ = c.readable(),
    }
    checkFault(e);
}

/// Crosses, and gives old arenas back.
pub fn tidy(e: *End, all: bool) void {
    if (e.block[Block.crossing] == 1 and (all or choice.once(2))) writing.cross(e);
    reading.retire(e, all);
    writing.retire(e, all);
    takeEvents(e);
}

fn takeEvents(e: *End) void {
    var event: fable.core.epochs.Event = undefined;
    while (e.channel.takeEvent(&event) == .ok) {
        report.trace("event {s} direction {d} {d} to {d}, epoch {d}, status {d}", .{ @tagName(@as(fable.core.epochs.What, @enumFromInt(event.what))), event.direction, event.from, event.to, event.epoch, event.status });
        if (event.direction == 1) switch (@as(fable.core.epochs.What, @enumFromInt(event.what))) {
            .moved => e.moves += 1,
            .refused => e.wished = null,
            else => if (event.reason == fable.core.epochs.reason_path_lost) {
                e.wished = null;
            },
        };
    }
}

fn closeSomething(e: *End) void {
    if (!choice.once(10)) return;
    if (choice.once(4)) close(e) else halfClose(e);
}

pub fn halfClose(e: *End) void {
    if (e.half_closed or e.write_end != null or e.w.busy(e)) return;
    e.half_closed = true;
    const outcome = e.channel.closeWrite();
    report.trace("half-close: {s}", .{@tagName(outcome)});
    if (outcome != .ok) report.fail("half-closing was answered {s}", .{@tagName(outcome)});
}

pub fn close(e: *End) void {
    report.trace("close", .{});
    e.closed = true;
    e.out().promised = promised(e);
    e.channel.close();
    e.opened = false;
    checkFault(e);
}

// ---- the end of a history ----

/// Everything that is under way arrives: reads, sends what was begun, and sleeps.
fn settle(e: *End) void {
    if (e.closed) return sleepForEver();
    while (e.order_count > 0) takeOrder(e);
    tidy(e, true);
    writing.complete(e);
    while (reading.some(e, 64)) {}
    reading.release(e);
    tidy(e, true);
    waiting.long(e);
}

fn finish(e: *End) void {
    if (e.closed) return sleepForEver();
    if (e.abrupt) return close(e);
    tidy(e, true);
    writing.complete(e);
    halfClose(e);
    while (reading.some(e, 64)) {}
    reading.release(e);
    const queued = e.channel.pump();
    if (queued < 0) writing.ended(e, @enumFromInt(queued));
    if (e.read_end != null and queued <= 0) return close(e);
    waiting.long(e);
}

pub fn sleepForEver() void {
    _ = system.poll(&.{}, -1);
}

pub fn checkFault(e: *End) void {
    if (e.channel.faulted != 0) report.fail("PEER_FAULT {d} between honest ends", .{e.channel.faulted});
}

/// How many messages must arrive if this end stops here: those that are published, and on paths through the kernel those that left the
/// process. A path that somebody broke, and whose rest was not handed over, promises nothing.
pub fn promised(e: *End) u32 {
    const c = &e.channel;
    if (c.epochs.draining()) |old| switch (old.transport) {
        .ring => {},
        .heap => |*t| if (t.fd >= 0 and t.queue.count > 0) return e.out().got,
        .stream => |*t| {
            const here = left(e, old, t);
            if (here.stuck) return here.messages;
        },
    };
    return switch (c.out.transport) {
        .ring => |*t| @truncate(t.writer.messages),
        .heap => |*t| if (t.fd < 0 or t.queue.count > 0) e.out().got else @truncate(t.writer.messages),
        .stream => |*t| left(e, c.out, t).messages,
    };
}

const Left = struct { messages: u32, stuck: bool };

fn left(e: *End, path: *Channel.Out, t: *Channel.StreamOut) Left {
    const all: u32 = @truncate(t.writer.messages);
    if (path.rest_sent) return .{ .messages = all, .stuck = false };
    if (t.fd < 0 or t.broken_ or disturbed(e, t.fd)) return .{ .messages = e.out().got, .stuck = true };
    var behind: u32 = 0;
    var at = t.acked;
    var bytes = t.acked_bytes;
    while (at < t.writer.published) {
        if (t.writer.runEnd(at, t.writer.published) == null) {
            at = t.writer.lapEnd(at);
            continue;
        }
        const h: fable.layout.record.Header = @bitCast(t.writer.headerAt(at).*);
        at += h.bytes();
        bytes += h.bytes();
        if (bytes > t.sent_bytes and (h.kind == .message or h.kind == .last)) behind += 1;
    }
    // the last fragment of a message that is being sent is behind before it counts
    return .{ .messages = all -| behind, .stuck = t.sent_bytes < bytes };
}

fn disturbed(e: *End, fd: i32) bool {
    const flows = @import("flows.zig");
    const file = kernel.fileOf(e.which, fd) orelse return true;
    return if (file.kind == .stream) flows.flows[file.out].disturbed else flows.pipes[file.which].disturbed;
}
