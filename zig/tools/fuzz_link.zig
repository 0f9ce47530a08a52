//! Lies on the link: frames of every kind with random and plausible fields, right and wrong descriptors, floods, packets that are no frames,
//! orders that were counted up without a frame and frames that were not counted.

const std = @import("std");
const fable = @import("fable");
const linux = std.os.linux;
const control = fable.layout.control;
const link = fable.layout.link;
const Descriptors = @import("fuzz_descriptors.zig").Descriptors;
const close = @import("fuzz_descriptors.zig").close;

/// What the attacker knows, so that some of what it says fits.
pub const Knowledge = struct {
    attempt: u32 = 0,
    /// Of the direction that the attacker writes.
    epoch: u32 = 0,
    /// Bytes that the victim has of the path in use.
    received: u64 = 0,
    ring_bytes: u32 = 4096,
};

pub const Link = struct {
    random: std.Random,
    fd: i32,
    doorbell: i32,
    control: *volatile control.Control,
    descriptors: *Descriptors,

    pub fn lie(self: *const Link, known: Knowledge) void {
        const random = self.random;
        switch (random.uintLessThan(u32, 16)) {
            0 => self.order(if (random.boolean()) 1 else random.int(u32)),
            1 => self.noFrame(),
            2 => if (random.uintLessThan(u32, 8) == 0) self.flood(known),
            3 => self.manyDescriptors(known),
            4...7 => self.offer(known),
            else => {
                var frame = self.about(known);
                var fds: [3]i32 = @splat(-1);
                const count = random.uintLessThan(usize, 4);
                if (frame.kind == .rest and count != 0) fds[0] = @import("fuzz_descriptors.zig").region(frame.ring_bytes, fable.sys.memory.seals_read_only) else if (random.uintLessThan(u32, 4) == 0) {
                    for (fds[0..count]) |*fd| fd.* = self.descriptors.any(known.ring_bytes);
                }
                self.send(std.mem.asBytes(&frame), &fds);
            },
        }
    }

    /// Whose descriptors fit what it says, often.
    fn offer(self: *const Link, known: Knowledge) void {
        const random = self.random;
        var f = self.about(known);
        f.kind = .offer;
        var fds: [3]i32 = @splat(-1);
        const right = self.descriptors.fitting(f.transport, @min(f.ring_bytes, 1 << 20), &fds);
        switch (random.uintLessThan(u32, 6)) {
            0 => { // one is something else
                const at = random.uintLessThan(usize, right.len);
                close(right[at]);
                right[at] = self.descriptors.any(f.ring_bytes);
            },
            1 => { // one is missing
                const at = random.uintLessThan(usize, right.len);
                close(right[at]);
                right[at] = -1;
            },
            2 => std.mem.reverse(i32, right),
            else => {},
        }
        self.send(std.mem.asBytes(&f), &fds);
    }

    fn about(self: *const Link, known: Knowledge) link.Frame {
        const random = self.random;
        return .{
            .kind = @enumFromInt(random.uintLessThan(u32, 10)),
            .attempt = switch (random.uintLessThan(u32, 4)) {
                0 => random.int(u32),
                1 => known.epoch +% random.uintLessThan(u32, 2),
                else => known.attempt +% random.uintLessThan(u32, 2),
            },
            .transport = if (random.uintLessThan(u32, 24) == 0) random.int(u32) else 1 + random.uintLessThan(u32, 9),
            .ring_bytes = switch (random.uintLessThan(u32, 8)) {
                0 => random.int(u32),
                1 => 0,
                2 => 8 * random.uintLessThan(u32, 1024),
                3, 4 => @as(u32, 4096) << random.uintLessThan(u5, 7),
                else => known.ring_bytes,
            },
            .reason = if (random.uintLessThan(u32, 16) == 0) random.int(u32) else 1 + random.uintLessThan(u32, 4),
            .status = random.uintLessThan(u32, 24),
            .first = switch (random.uintLessThan(u32, 4)) {
                0 => random.int(u64),
                1 => 0,
                2 => known.received -% 8 * random.uintLessThan(u64, 64),
                else => known.received +% random.uintLessThan(u64, 3) * 8,
            },
        };
    }

    fn noFrame(self: *const Link) void {
        var bytes: [256]u8 = undefined;
        self.random.bytes(&bytes);
        self.send(bytes[0..self.random.uintLessThan(usize, bytes.len)], &.{});
    }

    fn flood(self: *const Link, known: Knowledge) void {
        var f = self.about(known);
        for (0..self.random.uintLessThan(usize, 600)) |_| {
            if (self.random.uintLessThan(u32, 64) == 0) f = self.about(known);
            self.send(std.mem.asBytes(&f), &.{});
        }
    }

    fn manyDescriptors(self: *const Link, known: Knowledge) void {
        var f = self.about(known);
        var fds: [12]i32 = @splat(-1);
        for (fds[0..self.random.uintLessThan(usize, fds.len)]) |*fd| fd.* = self.descriptors.any(4096);
        self.send(std.mem.asBytes(&f), &fds);
    }

    /// Closes `fds`. Mostly counted and rung for, as it should be.
    fn send(self: *const Link, bytes: []const u8, fds: []const i32) void {
        var there: [16]i32 = undefined;
        var count: usize = 0;
        for (fds) |fd| if (fd >= 0) {
            there[count] = fd;
            count += 1;
        };
        _ = fable.system.sendPacket(self.fd, bytes, there[0..count]);
        for (there[0..count]) |fd| close(fd);
        if (self.random.uintLessThan(u32, 8) != 0) self.order(1);
        if (self.random.uintLessThan(u32, 4) != 0) fable.system.ring(self.doorbell);
    }

    fn order(self: *const Link, by: u32) void {
        self.control.orders +%= by;
    }
};
