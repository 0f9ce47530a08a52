//! What happened in a run, so that a run that reached nothing is seen.

const std = @import("std");
const linux = std.os.linux;

pub const Outcome = enum { window, empty, ended, fault, dead, refused, delivered, offered, crossed, moved, drained, declined, finished, turned };

pub const Tally = struct {
    counts: [@typeInfo(Outcome).@"enum".fields.len]u64 = @splat(0),

    pub fn add(self: *Tally, outcome: Outcome) void {
        self.counts[@intFromEnum(outcome)] += 1;
    }

    /// One JSON object on stdout.
    pub fn print(self: *const Tally, seed: u64, sessions: u64, rounds: u64) void {
        var buffer: [1024]u8 = undefined;
        var at: usize = 0;
        at += (std.fmt.bufPrint(buffer[at..], "{{\"event\":\"fuzzed\",\"seed\":{d},\"sessions\":{d},\"rounds\":{d}", .{ seed, sessions, rounds }) catch return).len;
        inline for (@typeInfo(Outcome).@"enum".fields) |field| {
            at += (std.fmt.bufPrint(buffer[at..], ",\"{s}\":{d}", .{ field.name, self.counts[field.value] }) catch return).len;
        }
        at += (std.fmt.bufPrint(buffer[at..], "}}\n", .{}) catch return).len;
        _ = linux.write(1, &buffer, at);
    }
};
