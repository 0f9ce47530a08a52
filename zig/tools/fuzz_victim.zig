//! The victim of the fuzzer: an ordinary channel used through the C ABI, by operations in random order, each result checked against what the
//! header promises. While the attacker was honest, what arrives must be what it sent. Reading is in fuzz_reading.zig, reconfiguration in
//! fuzz_moves.zig.

const std = @import("std");
const fable = @import("fable");
const linux = std.os.linux;
const record = fable.layout.record;
const status = fable.status;
const calls = @import("fuzz_calls.zig");
const ledgers = @import("fuzz_ledger.zig");
const reading = @import("fuzz_reading.zig");
const moves = @import("fuzz_moves.zig");
const Ledger = ledgers.Ledger;
const Tally = @import("fuzz_tally.zig").Tally;
const Failure = @import("fuzz.zig").Failure;

pub const Setup = struct {
    transport: u32,
    trust: u32,
    /// For a verdict: who attacks, and how.
    attacker: []const u8,
};

pub const Victim = struct {
    random: std.Random,
    setup: Setup,
    tally: *Tally,
    handle: u32,
    made: calls.Options,
    max_message: u32,
    /// What the attacker sends, and, if it is an end that reads, what it gets.
    incoming: *Ledger,
    outgoing: ?*Ledger,
    attached: bool = false,
    dead: bool = false,
    /// This end found the peer at fault: that never changes.
    faulted: bool = false,
    closed_write: bool = false,
    reader: reading.Reader,
    mover: moves.Mover = .{},
    unsent: ?u32 = null,

    pub fn init(random: std.Random, setup: Setup, incoming: *Ledger, outgoing: ?*Ledger, tally: *Tally) Failure!Victim {
        const flags: u32 = if (random.uintLessThan(u32, 3) == 0) 1 else 0;
        var made = calls.options(1, setup.transport, setup.trust, @as(u32, 4096) << random.uintLessThan(u5, 5), @as(u32, 512) << random.uintLessThan(u5, 12), flags);
        if (calls.fable_channel_new(&made) != status.OK) return error.Machine;
        return .{ .random = random, .setup = setup, .tally = tally, .handle = made.handle, .made = made, .max_message = made.max_message_bytes, .incoming = incoming, .outgoing = outgoing, .reader = .{ .windows = random.boolean() } };
    }

    /// What fable_channel_attach() answered.
    pub fn attach(self: *Victim, control_fd: i32, ring_fd: i32) Failure!i32 {
        var peer = calls.peer(self.handle, self.setup.trust, control_fd, ring_fd);
        const answer = calls.fable_channel_attach(&peer);
        if (answer != status.OK) {
            self.tally.add(.refused);
            return answer;
        }
        self.attached = true;
        self.max_message = peer.peer_max_message_bytes;
        if (calls.fable_channel_arena(self.handle, 1, &self.reader.arena_bytes)) |arena| self.reader.arena = arena else return self.verdict("no read arena", 0);
        return answer;
    }

    pub fn block(self: *const Victim, word: u32) u32 {
        return calls.block(self.handle, word);
    }

    pub fn step(self: *Victim) Failure!void {
        const random = self.random;
        for (0..random.uintLessThan(u32, 3) + 1) |_| {
            switch (random.uintLessThan(u32, 16)) {
                0...6 => try reading.step(self),
                7, 8 => try self.send(),
                9 => try self.check(calls.fable_space(self.handle), "space", limit),
                10 => try self.poll(),
                11 => try self.check(calls.fable_pump(self.handle), "pump", limit),
                12...14 => try moves.step(self),
                else => try self.rare(),
            }
        }
    }

    pub const limit = 64 << 20;

    pub fn send(self: *Victim) Failure!void {
        var message: [ledgers.max_size]u8 = undefined;
        const random = self.random;
        // A large message that is under way in part must be offered again.
        const size = self.unsent orelse switch (random.uintLessThan(u32, 8)) {
            0 => random.uintAtMost(u32, ledgers.max_size),
            1, 2 => random.uintAtMost(u32, 2048),
            else => random.uintAtMost(u32, 100),
        };
        if (self.outgoing) |ledger| {
            if (ledger.full()) return;
            ledgers.fill(message[0..size], ledger.sent);
        } else @memset(message[0..size], 0x5a);
        const answer = calls.fable_send(self.handle, &message, size);
        self.unsent = if (answer == status.OK or answer == status.TOO_LARGE or answer == status.CLOSED) null else size;
        if (answer == status.OK) if (self.outgoing) |ledger| ledger.send(size);
        if (answer == status.TOO_LARGE and size <= self.max_message) return self.verdict("too large, and is not", @intCast(size));
        try self.check(answer, "send", 0);
    }

    fn poll(self: *Victim) Failure!void {
        var entries = [_]calls.WaitEntry{.{ .handle = self.handle, .want = 1 + self.random.uintLessThan(u32, 3), .ready = 0, .reserved = 0 }};
        switch (self.random.uintLessThan(u32, 3)) {
            0 => try self.check(calls.fable_poll(&entries, 1, 0, 0), "poll", 1),
            1 => {
                try self.check(calls.fable_poll(&entries, 1, 1000, 1), "poll", 1);
                try self.check(calls.fable_awake(self.handle), "awake", 0);
            },
            // one that sleeps hears the doorbell; the others only look
            else => try self.check(calls.fable_wait(&entries, 1, if (self.random.uintLessThan(u32, 16) == 0) 1 else 0, 500, -1), "wait", 1),
        }
        if (entries[0].ready & ~@as(u32, 7) != 0) return self.verdict("ready for what does not exist", @intCast(entries[0].ready & 0xffff));
    }

    fn rare(self: *Victim) Failure!void {
        var stats: calls.Stats = undefined;
        switch (self.random.uintLessThan(u32, 60)) {
            0 => {
                const answer = calls.fable_close_write(self.handle);
                const busy = self.unsent != null and answer == status.BAD_ARGUMENT;
                if (answer == status.OK) {
                    self.closed_write = true;
                    self.unsent = null;
                }
                if (!busy) try self.check(answer, "close_write", 0);
            },
            else => try self.check(calls.fable_channel_stats(self.handle, &stats), "stats", 0),
        }
    }

    /// Every status that the header knows for a call on a live handle; once faulted, always faulted.
    pub fn check(self: *Victim, answer: i32, name: []const u8, most: i32) Failure!void {
        if (answer > most) return self.verdict(name, answer);
        const own_fault = calls.channelOf(self.handle).faulted != 0;
        if (self.faulted and !own_fault) return self.verdict("a fault was forgotten", answer);
        self.faulted = own_fault;
        if (own_fault and self.incoming.honest) return self.verdict(name, answer);
        switch (answer) {
            status.ENDED => {
                self.tally.add(.ended);
                self.dead = true;
            },
            status.PEER_DEAD => {
                self.tally.add(.dead);
                if (self.incoming.honest) return self.verdict("an honest peer was called dead", answer);
                self.dead = true;
            },
            status.PEER_FAULT => {
                self.tally.add(.fault);
                if (self.incoming.honest) return self.verdict("an honest peer was called faulty", answer);
                self.dead = true;
            },
            status.EMPTY => self.tally.add(.empty),
            status.ENOSPACE, status.TOO_LARGE, status.CLOSED, status.HUNG_UP, status.TIMEOUT => {},
            else => if (answer < 0) return self.verdict(name, answer),
        }
    }

    pub fn verdict(self: *Victim, what: []const u8, figure: i32) Failure {
        std.debug.print("fable-fuzz: {s} ({d}, detail {d}); transport {d}, trust {d}, now {d} out {d} in, flags {d}, windows {}, attacker {s}, honest {}, delivered {d}\n", .{
            what,
            figure,
            self.block(calls.Block.detail),
            self.setup.transport,
            self.setup.trust,
            self.block(calls.Block.write_transport),
            self.block(calls.Block.read_transport),
            self.made.flags,
            self.reader.windows,
            self.setup.attacker,
            self.incoming.honest,
            self.incoming.delivered,
        });
        return error.Verdict;
    }

    pub fn deinit(self: *Victim) void {
        const answer = calls.fable_channel_close(self.handle);
        if (answer < 0) std.debug.print("fable-fuzz: close answered {d}\n", .{answer});
        if (calls.fable_refill(self.handle) != status.BAD_HANDLE) std.debug.print("fable-fuzz: a closed handle was served\n", .{});
    }
};
