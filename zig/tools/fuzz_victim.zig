//! The victim of the fuzzer: an ordinary channel used through the C ABI, by operations in random order, each result checked against what the
//! header promises. While the attacker was honest, what arrives must be what it sent.

const std = @import("std");
const fable = @import("fable");
const linux = std.os.linux;
const record = fable.layout.record;
const status = fable.status;
const attacks = @import("fuzz_attacker.zig");
const Attacker = attacks.Attacker;
const Failure = @import("fuzz.zig").Failure;

const Options = extern struct {
    size_bytes: u32 = @sizeOf(Options),
    role: u32,
    transport: u32,
    trust: u32,
    ring_bytes: u32,
    max_message_bytes: u32,
    handle: u32 = 0,
    control_fd: i32 = -1,
    ring_fd: i32 = -1,
    peer_doorbell_fd: i32 = -1,
    peer_data_fd: i32 = -1,
    peer_link_fd: i32 = -1,
    flags: u32 = 0,
    reserved: [3]u32 = @splat(0),
};

const Peer = extern struct {
    size_bytes: u32 = @sizeOf(Peer),
    handle: u32,
    trust: u32,
    control_fd: i32,
    ring_fd: i32,
    doorbell_fd: i32 = -1,
    data_fd: i32 = -1,
    pid_fd: i32 = -1,
    peer_max_message_bytes: u32 = 0,
    peer_ring_bytes: u32 = 0,
    link_fd: i32 = -1,
    reserved: [1]u32 = @splat(0),
};

const Stats = extern struct { figures: [12]u64 };
const WaitEntry = extern struct { handle: u32, want: u32, ready: u32 = 0, reserved: u32 = 0 };

extern fn fable_channel_new(*Options) callconv(.c) i32;
extern fn fable_channel_attach(*Peer) callconv(.c) i32;
extern fn fable_channel_arena(u32, u32, *u32) callconv(.c) ?[*]u8;
extern fn fable_channel_close(u32) callconv(.c) i32;
extern fn fable_channel_stats(u32, *Stats) callconv(.c) i32;
extern fn fable_close_write(u32) callconv(.c) i32;
extern fn fable_refill(u32) callconv(.c) i32;
extern fn fable_consume(u32, u32, u32, u32) callconv(.c) i32;
extern fn fable_space(u32) callconv(.c) i32;
extern fn fable_pump(u32) callconv(.c) i32;
extern fn fable_send(u32, [*]const u8, u32) callconv(.c) i32;
extern fn fable_receive(u32, [*]u8, u32) callconv(.c) i32;
extern fn fable_poll([*]WaitEntry, u32, u32, u32) callconv(.c) i32;
extern fn fable_awake(u32) callconv(.c) i32;
extern fn fable_wait([*]WaitEntry, u32, i32, u32, i32) callconv(.c) i32;
extern fn fable_blocks() callconv(.c) [*]u32;

const Outcome = enum { window, empty, ended, fault, dead, refused, delivered };

pub const Tally = struct {
    counts: [@typeInfo(Outcome).@"enum".fields.len]u64 = @splat(0),

    fn add(self: *Tally, outcome: Outcome) void {
        self.counts[@intFromEnum(outcome)] += 1;
    }

    /// One JSON object on stdout.
    pub fn print(self: *const Tally, seed: u64, sessions: u64, rounds: u64) void {
        var buffer: [512]u8 = undefined;
        var at: usize = 0;
        at += (std.fmt.bufPrint(buffer[at..], "{{\"event\":\"fuzzed\",\"seed\":{d},\"sessions\":{d},\"rounds\":{d}", .{ seed, sessions, rounds }) catch return).len;
        inline for (@typeInfo(Outcome).@"enum".fields) |field| {
            at += (std.fmt.bufPrint(buffer[at..], ",\"{s}\":{d}", .{ field.name, self.counts[field.value] }) catch return).len;
        }
        at += (std.fmt.bufPrint(buffer[at..], "}}\n", .{}) catch return).len;
        _ = linux.write(1, &buffer, at);
    }
};

const guard: u8 = 0xa7;

pub const Victim = struct {
    random: std.Random,
    theirs: *Attacker,
    tally: *Tally,
    handle: u32,
    trust: u32,
    transport: u32,
    read_arena: [*]const u8 = undefined,
    read_bytes: u32 = 0,
    attached: bool = false,
    dead: bool = false,
    faulted: bool = false,
    delivered: u32 = 0,
    /// By windows or by receive(): the contract forbids both on one channel.
    windows: bool,
    unsent: ?u32 = null,
    /// Handed out and not yet given back.
    owed_bytes: u32 = 0,
    owed_messages: u32 = 0,
    owed_payload: u32 = 0,

    pub fn init(random: std.Random, theirs: *Attacker, tally: *Tally) Failure!Victim {
        var options: Options = .{
            .role = 1,
            .transport = theirs.transport,
            .trust = theirs.trust,
            .ring_bytes = @as(u32, 4096) << random.uintLessThan(u5, 5),
            .max_message_bytes = @as(u32, 512) << random.uintLessThan(u5, 12),
        };
        if (fable_channel_new(&options) != status.OK) return error.Machine;
        var self: Victim = .{ .random = random, .theirs = theirs, .tally = tally, .handle = options.handle, .trust = options.trust, .transport = options.transport, .windows = random.boolean() };
        theirs.doorbell = options.peer_doorbell_fd;
        theirs.data = options.peer_data_fd;
        theirs.link = options.peer_link_fd;
        theirs.look(options.control_fd);
        _ = linux.close(options.control_fd);
        if (options.ring_fd >= 0) _ = linux.close(options.ring_fd);
        try self.attach();
        return self;
    }

    fn attach(self: *Victim) Failure!void {
        const offered = self.theirs.offer();
        var peer: Peer = .{ .handle = self.handle, .trust = self.trust, .control_fd = offered.control, .ring_fd = offered.ring };
        const answer = fable_channel_attach(&peer);
        if (answer != status.OK) {
            self.tally.add(.refused);
            if (self.theirs.trick == .none) return self.verdict("an honest region was refused", answer);
            return;
        }
        if (mustRefuse(self.theirs.trick, self.transport, self.trust, self.theirs.ring_bytes)) return self.verdict("a bad region was accepted", @intFromEnum(self.theirs.trick));
        self.attached = true;
        self.read_arena = fable_channel_arena(self.handle, 1, &self.read_bytes) orelse return self.verdict("no read arena", 0);
    }

    /// Tricks that no victim may take. The others are legal in some combination.
    fn mustRefuse(trick: attacks.Trick, transport: u32, trust: u32, ring_bytes: u32) bool {
        const ring = transport != 4;
        return switch (trick) {
            .unsealed_control, .small_control, .bad_magic, .bad_version, .pipe, .file, .closed, .other_transport => true,
            .unsealed_ring, .odd_ring, .ring_lie, .swapped => ring,
            // A control region of the ring's size is a legal, if pointless, ring.
            .same => ring and ring_bytes != 4096,
            .no_future_write => ring and trust == 2,
            .none, .large_control, .huge_limit => false,
        };
    }

    pub fn step(self: *Victim) Failure!void {
        const random = self.random;
        for (0..random.uintLessThan(u32, 3) + 1) |_| {
            switch (random.uintLessThan(u32, 12)) {
                0...6 => if (self.windows) try self.window() else try self.receive(),
                7 => try self.send(),
                8 => try self.check(fable_space(self.handle), "space", self.limit()),
                9 => try self.poll(),
                10 => try self.check(fable_pump(self.handle), "pump", self.limit()),
                else => try self.rare(),
            }
        }
    }

    fn limit(self: *const Victim) i32 {
        _ = self;
        return 64 << 20;
    }

    fn window(self: *Victim) Failure!void {
        const answer = fable_refill(self.handle);
        try self.check(answer, "refill", @intCast(self.read_bytes));
        if (answer <= 0) return;
        self.tally.add(.window);
        const block = fable_blocks() + (self.handle & 0xfff) * 16;
        const from = block[0];
        const to = block[1];
        if (from % 8 != 0 or to > self.read_bytes or from > to or to - from != @as(u32, @intCast(answer))) return self.verdict("window outside the arena", answer);
        // In place the words may have changed since they were validated: trust means that, and the walk must look again.
        const stable = self.trust == 2 or self.transport == 4 or self.theirs.honest;
        var at = from;
        while (at < to) {
            const header: record.Header = @bitCast(@as(*align(8) const u64, @ptrCast(@alignCast(self.read_arena + at))).*);
            if (stable) try self.judgeHeader(header, at, to) else if (header.stride == 0 or at + header.bytes() > to) break;
            if (header.kind == .message) {
                if (self.theirs.honest) try self.compare(self.read_arena[at + 8 ..][0..header.size]);
                self.owed_messages += 1;
                self.owed_payload +%= header.size;
                self.delivered += 1;
            }
            at += header.bytes();
        }
        self.owed_bytes += @intCast(answer);
        if (self.random.uintLessThan(u32, 8) == 0) {
            const too_much = fable_consume(self.handle, self.owed_bytes + 8, 1, 1);
            if (too_much >= 0) return self.verdict("consumed more than was handed out", too_much);
        }
        if (self.random.uintLessThan(u32, 4) == 0) return;
        try self.check(fable_consume(self.handle, self.owed_bytes, self.owed_messages, self.owed_payload), "consume", 0);
        self.owed_bytes = 0;
        self.owed_messages = 0;
        self.owed_payload = 0;
    }

    fn judgeHeader(self: *Victim, header: record.Header, at: u32, to: u32) Failure!void {
        const length = header.bytes();
        if (length < 8 or at + length > to) return self.verdict("a record leaves the window", @intCast(at));
        if (header.size > length - 8) return self.verdict("a payload leaves its record", @intCast(header.size));
        switch (@intFromEnum(header.kind)) {
            1...7 => {},
            else => return self.verdict("an unknown kind in a validated window", @intFromEnum(header.kind)),
        }
    }

    fn receive(self: *Victim) Failure!void {
        var buffer: [4096 + 64]u8 = undefined;
        const capacity = self.random.uintAtMost(u32, 4096);
        @memset(buffer[capacity..][0..64], guard);
        const answer = fable_receive(self.handle, &buffer, capacity);
        for (buffer[capacity..][0..64]) |byte| if (byte != guard) return self.verdict("receive wrote past its buffer", answer);
        try self.check(answer, "receive", @intCast(capacity));
        if (answer < 0) return;
        self.tally.add(.delivered);
        self.delivered += 1;
        if (self.theirs.honest) try self.compare(buffer[0..@intCast(answer)]);
    }

    fn compare(self: *Victim, bytes: []const u8) Failure!void {
        const theirs = self.theirs;
        if (theirs.expected_tail == theirs.expected_head) return self.verdict("delivered more than was sent", @intCast(bytes.len));
        const tag = theirs.expected_tail;
        const size = theirs.expected[tag % attacks.max_expected];
        theirs.expected_tail += 1;
        if (bytes.len != size) return self.verdict("delivered another size than was sent", @intCast(bytes.len));
        for (bytes, 0..) |byte, index| {
            if (byte != attacks.contentByte(tag, @intCast(index))) return self.verdict("delivered other bytes than were sent", @intCast(index));
        }
    }

    fn send(self: *Victim) Failure!void {
        const message: [2048]u8 = @splat(0x5a);
        // A large message that is under way in part must be offered again.
        const size = if (self.unsent) |size| size else self.random.uintAtMost(u32, message.len);
        const answer = fable_send(self.handle, &message, size);
        self.unsent = if (answer == status.OK or answer == status.TOO_LARGE) null else size;
        try self.check(answer, "send", 0);
    }

    fn poll(self: *Victim) Failure!void {
        var entries = [_]WaitEntry{.{ .handle = self.handle, .want = 1 + self.random.uintLessThan(u32, 3) }};
        switch (self.random.uintLessThan(u32, 3)) {
            0 => try self.check(fable_poll(&entries, 1, 0, 0), "poll", 1),
            1 => {
                try self.check(fable_poll(&entries, 1, 1000, 1), "poll", 1);
                try self.check(fable_awake(self.handle), "awake", 0);
            },
            else => try self.check(fable_wait(&entries, 1, 0, 500, -1), "wait", 1),
        }
        if (entries[0].ready & ~@as(u32, 7) != 0) return self.verdict("ready for what does not exist", @intCast(entries[0].ready & 0xffff));
    }

    fn rare(self: *Victim) Failure!void {
        var stats: Stats = undefined;
        switch (self.random.uintLessThan(u32, 40)) {
            0 => {
                const answer = fable_close_write(self.handle);
                const busy = self.unsent != null and answer == status.BAD_ARGUMENT;
                if (!busy) try self.check(answer, "close_write", 0);
            },
            else => try self.check(fable_channel_stats(self.handle, &stats), "stats", 0),
        }
    }

    /// Every status that the header knows for a call on a live handle; once faulted, always faulted.
    fn check(self: *Victim, answer: i32, name: []const u8, most: i32) Failure!void {
        if (answer > most) return self.verdict(name, answer);
        switch (answer) {
            status.ENDED => {
                self.tally.add(.ended);
                self.dead = true;
            },
            status.PEER_DEAD => {
                self.tally.add(.dead);
                self.dead = true;
            },
            status.PEER_FAULT => {
                self.tally.add(.fault);
                if (self.theirs.honest) return self.verdict("an honest peer was called faulty", answer);
                self.dead = true;
                self.faulted = true;
            },
            status.EMPTY => self.tally.add(.empty),
            status.ENOSPACE, status.TOO_LARGE, status.CLOSED, status.HUNG_UP, status.TIMEOUT => {},
            else => if (answer < 0) return self.verdict(name, answer),
        }
    }

    fn verdict(self: *Victim, what: []const u8, figure: i32) Failure {
        std.debug.print("fable-fuzz: {s} ({d}, detail {d}); transport {d}, trust {d}, trick {s}, honest {}, delivered {d}\n", .{ what, figure, (fable_blocks() + (self.handle & 0xfff) * 16)[5], self.transport, self.trust, @tagName(self.theirs.trick), self.theirs.honest, self.delivered });
        return error.Verdict;
    }

    pub fn deinit(self: *Victim) void {
        const answer = fable_channel_close(self.handle);
        if (answer < 0) std.debug.print("fable-fuzz: close answered {d}\n", .{answer});
        if (fable_refill(self.handle) != status.BAD_HANDLE) std.debug.print("fable-fuzz: a closed handle was served\n", .{});
    }
};
