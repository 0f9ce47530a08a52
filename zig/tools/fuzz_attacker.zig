//! The attacker of the fuzzer: makes the regions an honest end would make, or nearly, and keeps writing to them as it pleases. It remembers
//! whether it was honest so far, and then what it sent, so that the victim's deliveries can be compared.

const std = @import("std");
const fable = @import("fable");
const linux = std.os.linux;
const control = fable.layout.control;
const record = fable.layout.record;
const ledgers = @import("fuzz_ledger.zig");
const Ledger = ledgers.Ledger;
const calls = @import("fuzz_calls.zig");
const links = @import("fuzz_link.zig");
const descriptors = @import("fuzz_descriptors.zig");
const Failure = @import("fuzz.zig").Failure;

const f_add_seals = 1033;
const seal_seal = 1;
const seal_shrink = 2;
const seal_grow = 4;
const seal_future_write = 16;

/// How the regions are made wrong before they are handed over. `none` most of the time, or nothing else would be tried.
pub const Trick = enum { none, unsealed_control, unsealed_ring, no_future_write, small_control, large_control, odd_ring, bad_magic, bad_version, ring_lie, huge_limit, pipe, file, same, closed, swapped, other_transport };

pub const Attacker = struct {
    random: std.Random,
    trick: Trick,
    transport: u32,
    /// What both ends were told.
    trust: u32,
    ring_bytes: u32,
    control_fd: i32,
    ring_fd: i32,
    control: *volatile control.Control,
    ring: [*]volatile u8,
    /// Ends of sockets the victim made.
    doorbell: i32 = -1,
    data: i32 = -1,
    link: i32 = -1,
    descriptors: descriptors.Descriptors,
    died: bool = false,
    position: u64 = 0,
    ledger: Ledger,
    victim_control: ?*const volatile control.Control = null,
    flipper: ?std.Thread = null,
    stop: std.atomic.Value(bool) = .init(false),
    flip_seed: u64,

    pub fn init(random: std.Random) Failure!Attacker {
        const trick: Trick = if (random.uintLessThan(u32, 3) == 0) random.enumValue(Trick) else .none;
        const transport: u32 = if (random.uintLessThan(u32, 4) == 0) 4 else 1 + random.uintLessThan(u32, 3);
        const trust: u32 = 1 + random.uintLessThan(u32, 2);
        const ring_bytes: u32 = @as(u32, 4096) << random.uintLessThan(u5, 5);
        var made_control: u32 = control.bytes;
        var made_ring = ring_bytes;
        switch (trick) {
            .small_control => made_control = 8192,
            .large_control => made_control = 1 << 20,
            .odd_ring => made_ring = ring_bytes + 4096,
            else => {},
        }
        const control_fd = descriptors.region(made_control, 0);
        const ring_fd = descriptors.region(made_ring, 0);
        if (control_fd < 0 or ring_fd < 0) return error.Machine;
        var self: Attacker = .{
            .random = random,
            .trick = trick,
            .transport = transport,
            .trust = trust,
            .ring_bytes = ring_bytes,
            .control_fd = control_fd,
            .ring_fd = ring_fd,
            .control = @ptrCast(@alignCast(try map(control_fd, control.bytes, true))),
            .ring = try map(ring_fd, ring_bytes, true),
            .ledger = .{ .honest = trick == .none },
            .descriptors = .{ .random = random },
            .flip_seed = random.int(u64),
        };
        self.writeIdentity();
        self.sealAll();
        if (trick == .small_control) _ = linux.ftruncate(control_fd, 2048);
        return self;
    }

    fn writeIdentity(self: *Attacker) void {
        const c = self.control;
        c.magic = if (self.trick == .bad_magic) self.random.int(u32) else control.magic;
        c.layout_version = if (self.trick == .bad_version) control.layout_version + 1 else control.layout_version;
        c.control_bytes = control.bytes;
        c.flags = self.random.uintLessThan(u32, 2);
        c.ring_bytes = if (self.trick == .ring_lie) self.ring_bytes << 1 else self.ring_bytes;
        c.transport = if (self.trick == .other_transport) self.random.int(u32) else self.transport;
        c.max_message_bytes = if (self.trick == .huge_limit) 0xffff_ffff else 1 << 20;
        c.trust = self.trust;
        c.pid = 1;
    }

    fn sealAll(self: *Attacker) void {
        if (self.trick == .small_control) return;
        if (self.trick != .unsealed_control) seal(self.control_fd, self.trick != .no_future_write);
        // A trusted ring is mapped writable by its reader.
        if (self.trick != .unsealed_ring) seal(self.ring_fd, self.trick != .no_future_write and self.trust == 2);
    }

    /// The descriptors that are handed over; the receiver consumes them.
    pub fn offer(self: *Attacker) struct { control: i32, ring: i32 } {
        const kernel = self.transport == 4;
        switch (self.trick) {
            .pipe => {
                var ends: [2]i32 = undefined;
                _ = linux.pipe2(&ends, .{ .CLOEXEC = true });
                return .{ .control = ends[0], .ring = ends[1] };
            },
            .file => return .{ .control = descriptors.open("/proc/self/exe"), .ring = descriptors.open("/proc/self/exe") },
            .same => return .{ .control = descriptors.dup(self.control_fd), .ring = descriptors.dup(self.control_fd) },
            .closed => return .{ .control = 987_654, .ring = -1 },
            .swapped => return .{ .control = descriptors.dup(self.ring_fd), .ring = descriptors.dup(self.control_fd) },
            else => return .{ .control = descriptors.dup(self.control_fd), .ring = if (kernel) -1 else descriptors.dup(self.ring_fd) },
        }
    }

    /// Tricks that no victim may take. The others are legal in some combination.
    pub fn mustRefuse(self: *const Attacker) bool {
        const ring = self.transport != 4;
        return switch (self.trick) {
            .unsealed_control, .small_control, .bad_magic, .bad_version, .pipe, .file, .closed, .other_transport => true,
            .unsealed_ring, .odd_ring, .ring_lie, .swapped => ring,
            // A control region of the ring's size is a legal, if pointless, ring.
            .same => ring and self.ring_bytes != 4096,
            .no_future_write => ring and self.trust == 2,
            .none, .large_control, .huge_limit => false,
        };
    }

    /// Takes what the victim made for its peer: among it a mapping of what it says about itself, which an attacker may read.
    pub fn take(self: *Attacker, made: calls.Options) void {
        self.doorbell = made.peer_doorbell_fd;
        self.data = made.peer_data_fd;
        self.link = made.peer_link_fd;
        self.look(made.control_fd);
        self.descriptors.victims = .{ descriptors.dup(made.control_fd), descriptors.dup(made.peer_link_fd) };
        for ([_]i32{ made.control_fd, made.ring_fd }) |fd| _ = shut(fd);
    }

    fn look(self: *Attacker, victim_control_fd: i32) void {
        const bytes = map(victim_control_fd, control.bytes, false) catch return;
        self.victim_control = @ptrCast(@alignCast(bytes));
    }

    pub fn startFlipping(self: *Attacker) Failure!void {
        if (self.random.uintLessThan(u32, 24) != 0) return;
        self.ledger.honest = false;
        self.flipper = std.Thread.spawn(.{ .stack_size = 64 << 10 }, flip, .{self}) catch return error.Machine;
    }

    /// Words change while they are read: header words mostly, valid and invalid in turn.
    fn flip(self: *Attacker) void {
        var prng: std.Random.DefaultPrng = .init(self.flip_seed);
        const random = prng.random();
        while (!self.stop.load(.monotonic)) {
            const at = random.uintLessThan(u32, self.ring_bytes / 8) * 8;
            const word: *volatile u64 = @ptrCast(@alignCast(self.ring + at));
            word.* = if (random.boolean()) self.plausible(random) else random.int(u64);
            if (random.uintLessThan(u32, 16) == 0) self.control.released(random.int(u32)).* = random.uintLessThan(u64, self.ring_bytes * 4);
        }
    }

    fn plausible(self: *const Attacker, random: std.Random) u64 {
        const size = random.uintLessThan(u32, @max(1, self.ring_bytes / 8));
        const kind: record.Kind = @enumFromInt(random.uintLessThan(u8, 9));
        return @bitCast(record.Header.of(kind, size, record.header_bytes + (size + 7 & ~@as(u32, 7))));
    }

    pub fn act(self: *Attacker) void {
        if (self.transport == 4) return self.actOnSocket();
        const random = self.random;
        if (self.ledger.honest and random.uintLessThan(u32, 16) != 0) return self.sendHonestly();
        if (self.died) return;
        if (self.ledger.honest and random.uintLessThan(u32, 8) == 0) return self.die();
        self.ledger.honest = false;
        switch (random.uintLessThan(u32, 14)) {
            0, 1 => self.putHeader(random.int(u64)),
            2, 3, 4 => self.putHeader(self.plausible(random)),
            5 => self.fragments(),
            6 => self.control.released(random.int(u32)).* = if (random.boolean()) random.int(u64) else random.uintLessThan(u64, self.ring_bytes * 2),
            7 => self.scribbleControl(),
            8 => self.ring8(),
            9 => self.scribbleRing(),
            10 => self.punch(),
            11, 12 => self.order(),
            else => self.sendHonestly(),
        }
    }

    /// As a process does that is killed; the count is so that the victim looks soon.
    fn die(self: *Attacker) void {
        self.ledger.honest = false;
        self.died = true;
        self.doorbell = shut(self.doorbell);
        self.link = shut(self.link);
        self.control.orders +%= 1;
    }

    /// About reconfigurations that nobody asked for.
    fn order(self: *Attacker) void {
        if (self.link >= 0 and self.random.uintLessThan(u32, 24) == 0) self.link = shut(self.link);
        if (self.link < 0) {
            self.control.orders +%= 1;
            return;
        }
        const end: links.Link = .{ .random = self.random, .fd = self.link, .doorbell = self.doorbell, .control = self.control, .descriptors = &self.descriptors };
        for (0..self.random.uintAtMost(u32, 3)) |_| end.lie(.{ .attempt = self.random.uintLessThan(u32, 3), .ring_bytes = self.ring_bytes });
        self.descriptors.babble();
    }

    /// Exactly as an honest writer would: record, zeroed next header, header last.
    fn sendHonestly(self: *Attacker) void {
        const random = self.random;
        const batch = random.uintLessThan(u32, 4) + 1;
        for (0..batch) |_| {
            const size = @min(random.uintLessThan(u32, 400), self.ring_bytes / 4);
            if (!self.room(size)) return;
            var at: u32 = @intCast(self.position & (self.ring_bytes - 1));
            var length = record.length(at, size);
            if (at + length > self.ring_bytes) {
                const pad = self.ring_bytes - at;
                self.zero(0);
                self.store(at, @bitCast(record.Header.of(.pad, 0, pad)));
                self.position += pad;
                at = 0;
                length = record.length(0, size);
            }
            const tag = self.ledger.sent;
            for (0..size) |i| self.ring[at + 8 + i] = ledgers.contentByte(tag, @intCast(i));
            self.zero((at + length) & (self.ring_bytes - 1));
            self.store(at, @bitCast(record.Header.of(.message, size, length)));
            self.position += length;
            if (self.ledger.full()) self.ledger.honest = false else self.ledger.send(size);
        }
    }

    /// An honest writer looks at what the victim released; this one does too while it is honest.
    fn room(self: *Attacker, size: u32) bool {
        const theirs = self.victim_control orelse return false;
        const used = self.position -% theirs.released_even;
        const need = size + 8 + 64 + 64 + self.ring_bytes / 4;
        return used <= self.ring_bytes and self.ring_bytes - used >= need;
    }

    fn putHeader(self: *Attacker, header: u64) void {
        const at: u32 = @intCast(self.position & (self.ring_bytes - 1));
        self.store(at, header);
        self.position += @as(u64, @as(record.Header, @bitCast(header)).stride) * 8;
    }

    fn fragments(self: *Attacker) void {
        const random = self.random;
        const kinds = [_]record.Kind{ .first, .more, .last, .first, .last, .message, .end, .marker };
        for (0..random.uintLessThan(u32, 4) + 1) |_| {
            const size = 8 + random.uintLessThan(u32, 64);
            var at: u32 = @intCast(self.position & (self.ring_bytes - 1));
            const length = record.length(at, size);
            if (at + length > self.ring_bytes) {
                self.store(at, @bitCast(record.Header.of(.pad, 0, self.ring_bytes - at)));
                self.position += self.ring_bytes - at;
                at = 0;
            }
            const total: *volatile u64 = @ptrCast(@alignCast(self.ring + at + 8));
            total.* = switch (random.uintLessThan(u32, 4)) {
                0 => random.int(u64),
                1 => 0xffff_ffff,
                2 => size - 8,
                else => random.uintLessThan(u64, 256),
            };
            self.putHeader(@bitCast(record.Header.of(kinds[random.uintLessThan(usize, kinds.len)], size, length)));
        }
    }

    fn scribbleControl(self: *Attacker) void {
        const random = self.random;
        const c = self.control;
        switch (random.uintLessThan(u32, 13)) {
            0 => c.sleep_word = random.int(u32),
            1 => c.rung_word = random.int(u32),
            2 => c.state = if (random.boolean()) random.int(u32) else random.uintLessThan(u32, 5),
            3 => c.state_code = random.int(u32),
            4 => c.end_position = random.int(u64),
            5 => c.write_epoch = random.int(u32),
            6 => c.ring_bytes = random.int(u32),
            7 => c.cpu = random.int(u32),
            8 => c.orders +%= if (random.boolean()) 1 else random.int(u32),
            9 => c.streamSent(random.int(u32)).* = if (random.boolean()) random.uintLessThan(u64, 4096) else random.int(u64),
            10 => c.write_transport = random.int(u32),
            11 => c.read_epoch = random.int(u32),
            else => {
                const bytes: [*]volatile u8 = @ptrCast(c);
                for (0..64) |_| bytes[random.uintLessThan(usize, control.bytes)] = random.int(u8);
            },
        }
    }

    fn scribbleRing(self: *Attacker) void {
        const many = self.random.uintLessThan(u32, 256);
        for (0..many) |_| self.ring[self.random.uintLessThan(u32, self.ring_bytes)] = self.random.int(u8);
    }

    /// Holes and truncation: the seals refuse them, and if they did not the victim must live all the same.
    fn punch(self: *Attacker) void {
        const keep_size_punch = 1 | 2;
        _ = linux.fallocate(self.ring_fd, keep_size_punch, 0, self.ring_bytes);
        _ = linux.fallocate(self.control_fd, keep_size_punch, 0, control.bytes);
        _ = linux.ftruncate(self.ring_fd, 0);
        _ = linux.ftruncate(self.control_fd, 0);
    }

    fn ring8(self: *Attacker) void {
        if (self.doorbell < 0) return;
        const junk: [512]u8 = @splat(7);
        switch (self.random.uintLessThan(u32, 8)) {
            0 => self.doorbell = shut(self.doorbell),
            else => _ = linux.sendto(self.doorbell, &junk, self.random.uintLessThan(usize, junk.len), linux.MSG.DONTWAIT | linux.MSG.NOSIGNAL, null, 0),
        }
    }

    fn actOnSocket(self: *Attacker) void {
        const random = self.random;
        if (self.data < 0) return;
        self.ledger.honest = false;
        var bytes: [2048]u8 = undefined;
        const size = random.uintLessThan(usize, bytes.len);
        random.bytes(bytes[0..size]);
        switch (random.uintLessThan(u32, 10)) {
            0 => self.data = shut(self.data),
            1 => self.ring8(),
            2 => if (random.boolean()) self.scribbleControl() else self.order(),
            3, 4 => self.sendBytes(bytes[0..size]),
            5 => self.drain(),
            else => {
                for (0..random.uintLessThan(u32, 4) + 1) |_| {
                    const header = self.plausible(random);
                    const stride: usize = @min(bytes.len, @as(usize, @as(record.Header, @bitCast(header)).stride) * 8);
                    if (stride < 8) continue;
                    std.mem.writeInt(u64, bytes[0..8], header, .little);
                    self.sendBytes(bytes[0..stride]);
                }
            },
        }
    }

    fn sendBytes(self: *Attacker, bytes: []const u8) void {
        _ = linux.sendto(self.data, bytes.ptr, bytes.len, linux.MSG.DONTWAIT | linux.MSG.NOSIGNAL, null, 0);
    }

    fn drain(self: *Attacker) void {
        var bytes: [8192]u8 = undefined;
        _ = linux.recvfrom(self.data, &bytes, bytes.len, linux.MSG.DONTWAIT, null, null);
    }

    fn store(self: *Attacker, at: u32, header: u64) void {
        const word: *u64 = @ptrCast(@alignCast(@volatileCast(self.ring + at)));
        @atomicStore(u64, word, header, .release);
    }

    fn zero(self: *Attacker, at: u32) void {
        const word: *volatile u64 = @ptrCast(@alignCast(self.ring + at));
        word.* = 0;
    }

    pub fn deinit(self: *Attacker) void {
        if (self.flipper) |thread| {
            self.stop.store(true, .monotonic);
            thread.join();
        }
        unmap(@ptrCast(@volatileCast(self.control)), control.bytes);
        unmap(@volatileCast(self.ring), self.ring_bytes);
        if (self.victim_control) |theirs| unmap(@ptrCast(@constCast(@volatileCast(theirs))), control.bytes);
        for ([_]i32{ self.control_fd, self.ring_fd, self.doorbell, self.data, self.link }) |fd| _ = shut(fd);
        self.descriptors.deinit();
    }
};

fn map(fd: i32, size: usize, writable: bool) Failure![*]u8 {
    const rc = linux.mmap(null, size, .{ .READ = true, .WRITE = writable }, .{ .TYPE = .SHARED }, fd, 0);
    if (descriptors.bad(rc)) return error.Machine;
    return @ptrFromInt(rc);
}

fn unmap(pointer: [*]const u8, size: usize) void {
    _ = linux.munmap(pointer, size);
}

fn seal(fd: i32, future_write: bool) void {
    const seals: usize = seal_shrink | seal_grow | seal_seal | (if (future_write) @as(usize, seal_future_write) else 0);
    _ = linux.fcntl(fd, f_add_seals, seals);
}

fn shut(fd: i32) i32 {
    descriptors.close(fd);
    return -1;
}
