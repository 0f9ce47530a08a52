//! Before a channel's end sleeps: what it waits for, what the kernel holds back without anybody ringing, what a native sleeper watches, and the
//! answer to the doorbell.

const control = @import("../layout/control.zig");
const fault = @import("fault.zig");
const Block = @import("channel.zig").Block;

pub fn Sleeping(comptime Sys: type, comptime Self: type) type {
    return struct {
        const Out = Self.Out;

        /// The writer learns all that was consumed.
        pub fn idle(c: *Self) void {
            if (!c.attached) return;
            switch (c.in.transport) {
                inline else => |*t| t.idle(),
            }
        }

        /// Something of this end waits for room in the kernel.
        pub fn pending(c: *Self) bool {
            if (c.epochs.draining()) |old| switch (old.transport) {
                inline else => |*t| if (t.pending()) return true,
            };
            return switch (c.out.transport) {
                inline else => |*t| t.pending(),
            };
        }

        /// Would a look find something? A guess, told without a system call: a look at a path through the kernel is one, and takes locks
        /// there that the other end needs.
        pub fn stirred(c: *Self, want: u32) bool {
            if (!c.attached or c.bell.peer.news() != c.calm or c.epochs.old != null) return true;
            if (want & control.sleep_data != 0) switch (c.in.transport) {
                inline else => |*t| if (t.stirred()) return true,
            };
            if (want & control.sleep_space != 0) switch (c.out.transport) {
                inline else => |*t| if (t.stirred()) return true,
            };
            return false;
        }

        /// Says what this end is about to sleep for. A native sleeper watches the kernel's side of a path itself and needs no ring for it.
        /// True: a fence of this end's own is enough before the last look, because the peer fences before it looks whether somebody sleeps;
        /// or nothing was said.
        pub fn announce(c: *Self, want: u32, native: bool, futex: bool) bool {
            if (!c.attached) return true;
            while (c.epochs.phase == .making) c.makeMore(); // there is time, and perhaps no other occasion
            c.idle();
            c.hurry();
            switch (c.in.transport) {
                .heap => |*t| t.tell(), // nobody asks later
                .ring, .stream => {},
            }
            var bits = want & control.sleep_interest;
            if (native and c.in.transport == .stream) bits &= ~control.sleep_data;
            // (A native sleeper may find room in the kernel at its last look, and then waits for the peer after all: it announces both.)
            if (!native and c.pending()) bits |= control.sleep_space;
            if (bits == 0) return true;
            if (native and futex) bits |= control.sleep_futex else {
                c.doorbell_sleeps +%= 1;
                c.countRings();
            }
            _ = c.bell.announce(bits);
            const memory = (bits & control.sleep_data != 0 and c.in.transport != .stream) or (bits & control.sleep_space != 0 and c.out.transport == .ring);
            return c.bell.fence or !memory;
        }

        /// How often the peer may have rung by now.
        pub fn countRings(c: *Self) void {
            c.block[Block.sleeps] = c.doorbell_sleeps +% c.epochs.frames;
        }

        /// Kernel buffers that hold back what nobody would ring for again: bytes that are on their way to this end, or room that is about to
        /// come because the other end has taken everything. Or a broken path that waits to be replaced. True: look again instead of sleeping.
        pub fn settle(c: *Self) bool {
            if (!c.attached or c.faulted != fault.none) return false;
            if (c.owesRepair()) {
                _ = Sys.poll(&.{}, settle_ns);
                c.repair();
                return true;
            }
            var fd: i32 = -1;
            var events: i16 = Sys.POLLIN;
            switch (c.in.transport) {
                .ring, .heap => {},
                .stream => |*t| if (t.underWay()) {
                    fd = t.fd;
                },
            }
            for ([_]?*Out{ c.out, c.epochs.draining() }) |path| switch ((path orelse continue).transport) {
                .ring, .heap => {},
                .stream => |*t| if (fd < 0 and t.pending() and t.arrived()) {
                    fd = t.fd;
                    events = Sys.POLLOUT;
                },
            };
            if (fd < 0) {
                c.missing = 0;
                return false;
            }
            var one = [1]Sys.PollFd{.{ .fd = fd, .events = events, .revents = 0 }};
            if (Sys.poll(&one, settle_ns) != 0) return true;
            c.missing += 1;
            if (c.missing > settle_limit) c.fail(fault.cursor);
            return true;
        }
        const settle_ns = 1_000_000;
        /// Five seconds: more than the kernel needs for a lost segment on the loopback.
        const settle_limit = 5000;

        pub const Watched = struct { fd: i32, events: i16 };

        /// What a native sleeper watches of the kernel's side of the paths.
        pub fn watched(c: *Self, want: u32, out: *[3]Watched) []Watched {
            var count: usize = 0;
            if (!c.attached) return out[0..0];
            if (want & control.sleep_data != 0) switch (c.in.transport) {
                .ring, .heap => {},
                .stream => |*t| if (t.fd >= 0 and !t.reader.hung_up and !t.reader.starved) {
                    out[count] = .{ .fd = t.fd, .events = Sys.POLLIN };
                    count += 1;
                },
            };
            const old = c.epochs.draining();
            for ([_]?*Out{ c.out, old }) |one| {
                const path = one orelse continue;
                switch (path.transport) {
                    .ring => {},
                    inline .stream, .heap => |*t| if (t.pending()) {
                        out[count] = .{ .fd = t.fd, .events = Sys.POLLOUT };
                        count += 1;
                    },
                }
            }
            return out[0..count];
        }

        /// Reads the doorbell dry. Who rings more often than this end slept or was given orders loses the channel.
        pub fn answerDoorbell(c: *Self) void {
            var bytes: [64]u8 = undefined;
            while (true) {
                const count = Sys.receive(c.doorbell, &bytes, bytes.len);
                if (count == Sys.again) break;
                if (count <= 0) return c.doorbellHungUp();
                c.doorbell_bytes +%= @intCast(count);
                c.attend();
                if (c.doorbell_bytes -% c.doorbell_sleeps -% c.epochs.frames -% 1 < 1 << 31) return c.fail(fault.doorbell);
            }
        }
    };
}
