//! An attacker that is a real end of the channel: it sends, receives and moves between transports as an honest peer does, so that every path
//! is reached and what arrives can be compared in both directions; then, in some sessions, it begins to lie (fuzz_lies.zig).

const std = @import("std");
const fable = @import("fable");
const linux = std.os.linux;
const status = fable.status;
const calls = @import("fuzz_calls.zig");
const ledgers = @import("fuzz_ledger.zig");
const lies = @import("fuzz_lies.zig");
const reading = @import("fuzz_reading.zig");
const moves = @import("fuzz_moves.zig");
const descriptors = @import("fuzz_descriptors.zig");
const Ledger = ledgers.Ledger;
const Victim = @import("fuzz_victim.zig").Victim;
const Failure = @import("fuzz.zig").Failure;

pub const Traitor = struct {
    random: std.Random,
    handle: u32,
    /// What it sends, and what the victim sends it.
    outgoing: *Ledger,
    incoming: *Ledger,
    control_fd: i32,
    ring_fd: i32,
    unsent: ?u32 = null,
    /// In how many rounds it turns; null: never.
    turns_in: ?u32,
    descriptors: descriptors.Descriptors,
    flipper: lies.Flipper = .{},

    pub fn init(random: std.Random, made: calls.Options, trust: u32, outgoing: *Ledger, incoming: *Ledger) Failure!Traitor {
        var mine = calls.options(2, made.transport, trust, @as(u32, 4096) << random.uintLessThan(u5, 5), @as(u32, 1024) << random.uintLessThan(u5, 11), 0);
        if (calls.fable_channel_new(&mine) != status.OK) return error.Machine;
        var zoo: descriptors.Descriptors = .{ .random = random };
        zoo.victims = .{ descriptors.dup(made.control_fd), descriptors.dup(made.peer_link_fd) };
        var peer = calls.peer(mine.handle, trust, made.control_fd, made.ring_fd);
        peer.doorbell_fd = made.peer_doorbell_fd;
        peer.data_fd = made.peer_data_fd;
        peer.link_fd = made.peer_link_fd;
        if (calls.fable_channel_attach(&peer) != status.OK) return error.Machine;
        return .{
            .random = random,
            .handle = mine.handle,
            .outgoing = outgoing,
            .incoming = incoming,
            .control_fd = mine.control_fd,
            .ring_fd = mine.ring_fd,
            .turns_in = if (random.boolean()) null else random.uintLessThan(u32, 100),
            .descriptors = zoo,
        };
    }

    pub fn act(self: *Traitor, victim: *Victim) Failure!void {
        const random = self.random;
        if (self.turns_in) |left| {
            if (left == 0 and self.outgoing.honest) {
                victim.tally.add(.turned);
                self.outgoing.honest = false;
                self.incoming.honest = false;
            }
            self.turns_in = left -| 1;
        }
        const turned = !self.outgoing.honest;
        if (turned and random.boolean()) lies.tell(self);
        for (0..random.uintAtMost(u32, 3)) |_| try self.behave();
    }

    /// What honest ends do.
    fn behave(self: *Traitor) Failure!void {
        const random = self.random;
        const h = self.handle;
        switch (random.uintLessThan(u32, 20)) {
            0...5 => try self.send(),
            6...12 => try self.receive(),
            13 => try self.judge(calls.fable_attend(h), "attend"),
            14 => try self.judge(calls.fable_pump(h), "pump"),
            15 => try self.order(),
            16 => try self.judge(calls.fable_space(h), "space"),
            17 => {
                var entries = [_]calls.WaitEntry{.{ .handle = h, .want = 3, .ready = 0, .reserved = 0 }};
                try self.judge(calls.fable_poll(&entries, 1, 0, random.uintLessThan(u32, 2)), "poll");
                try self.judge(calls.fable_awake(h), "awake");
            },
            18 => if (random.uintLessThan(u32, 16) == 0) self.breakPath(),
            else => if (random.uintLessThan(u32, 200) == 0 and self.unsent == null) {
                _ = calls.fable_close_write(h);
            },
        }
    }

    fn order(self: *Traitor) Failure!void {
        const random = self.random;
        const transport = 1 + random.uintLessThan(u32, 9);
        const ring_bytes: u32 = if (random.boolean()) 0 else @as(u32, 4096) << random.uintLessThan(u5, 6);
        const answer = if (random.boolean()) calls.fable_switch(self.handle, transport, ring_bytes, 2) else calls.fable_ask(self.handle, transport, ring_bytes, 3);
        if (answer == status.UNSUPPORTED and transport == 8) return;
        try self.judge(answer, "order");
    }

    /// Somebody shuts down a socket between two ends that live: nothing may be lost.
    fn breakPath(self: *Traitor) void {
        switch (calls.channelOf(self.handle).out.transport) {
            .stream => |*path| if (path.medium == .socket) {
                _ = linux.shutdown(path.fd, @intCast(self.random.uintLessThan(u32, 3)));
            },
            .ring, .heap => {},
        }
    }

    pub fn send(self: *Traitor) Failure!void {
        var message: [ledgers.max_size]u8 = undefined;
        const random = self.random;
        if (self.outgoing.honest and self.outgoing.full()) return;
        const size = self.unsent orelse switch (random.uintLessThan(u32, 8)) {
            0 => random.uintAtMost(u32, ledgers.max_size),
            1, 2 => random.uintAtMost(u32, 2048),
            else => random.uintAtMost(u32, 100),
        };
        ledgers.fill(message[0..size], self.outgoing.sent);
        const answer = calls.fable_send(self.handle, &message, size);
        self.unsent = if (answer == status.ENOSPACE) size else null;
        if (answer == status.OK) self.outgoing.send(size);
        try self.judge(answer, "send");
    }

    pub fn receive(self: *Traitor) Failure!void {
        var buffer: [ledgers.max_size]u8 = undefined;
        const answer = calls.fable_receive(self.handle, &buffer, buffer.len);
        try self.judge(answer, "receive");
        if (answer == status.ENDED and self.incoming.honest and !self.incoming.empty()) return self.verdict("the victim ended before everything came", answer);
        if (answer < 0) return;
        if (self.incoming.deliver(buffer[0..@intCast(answer)])) |wrong| return self.verdict(wrong, answer);
    }

    /// What this end answers itself: while both are honest, nothing that only a fault of the other explains.
    fn judge(self: *Traitor, answer: i32, name: []const u8) Failure!void {
        if (!self.outgoing.honest or answer >= 0) return;
        switch (answer) {
            status.EMPTY, status.ENOSPACE, status.TOO_LARGE, status.CLOSED, status.ENDED => {},
            else => return self.verdict(name, answer),
        }
    }

    fn verdict(self: *Traitor, what: []const u8, figure: i32) Failure {
        std.debug.print("fable-fuzz: at the peer: {s} ({d}, detail {d}); now {d} out {d} in, received {d}\n", .{
            what,
            figure,
            calls.block(self.handle, calls.Block.detail),
            calls.block(self.handle, calls.Block.write_transport),
            calls.block(self.handle, calls.Block.read_transport),
            self.incoming.delivered,
        });
        return error.Verdict;
    }

    /// Both honest to the end: all that was sent arrives, in both directions.
    pub fn finish(self: *Traitor, victim: *Victim) Failure!void {
        const until = fable.system.nowNs() + 5 * std.time.ns_per_s;
        var looks: u32 = 0;
        while (true) : (looks += 1) {
            if (victim.unsent != null) try victim.send();
            try moves.cross(victim);
            while (victim.mover.count > 0) try moves.retireOne(victim);
            try victim.check(calls.fable_attend(victim.handle), "attend", 0);
            try victim.check(calls.fable_pump(victim.handle), "pump", Victim.limit);
            for (0..8) |_| try reading.step(victim);
            try reading.settle(victim);
            if (self.unsent != null) try self.send();
            try self.judge(calls.fable_attend(self.handle), "attend");
            try self.judge(calls.fable_pump(self.handle), "pump");
            for (0..8) |_| try self.receive();
            const sent = victim.unsent == null and self.unsent == null;
            if (sent and self.incoming.empty() and self.outgoing.empty()) break;
            if (looks > 1000 and fable.system.nowNs() > until) return victim.verdict("something sent does not arrive", @intCast(self.incoming.sent - self.incoming.delivered));
        }
        victim.tally.add(.finished);
    }

    pub fn deinit(self: *Traitor) void {
        self.flipper.stop();
        _ = calls.fable_channel_close(self.handle);
        descriptors.close(self.control_fd);
        descriptors.close(self.ring_fd);
        self.descriptors.deinit();
    }
};
