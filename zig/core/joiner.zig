//! Joins the fragments of one message in private memory, for receive(). Its size is what FIRST promised, bounded by the agreed limit;
//! pages cost memory only as fragments fill them.

const std = @import("std");

pub fn Joiner(comptime Sys: type) type {
    return struct {
        const Self = @This();

        memory: ?[*]u8 = null,
        capacity: usize = 0,
        total: u32 = 0,
        filled: u32 = 0,
        /// All of it is there, and not yet handed out.
        complete: bool = false,

        pub fn begin(j: *Self, total: u32) bool {
            if (total > j.capacity) {
                j.deinit();
                const size = std.mem.alignForward(usize, total, 4096);
                const address = Sys.mapPrivate(size);
                if (address < 0) return false;
                j.memory = @ptrFromInt(@as(usize, @bitCast(address)));
                j.capacity = size;
            }
            j.total = total;
            j.filled = 0;
            j.complete = false;
            return true;
        }

        pub fn append(j: *Self, part: []const u8) bool {
            const to = j.memory orelse return false;
            if (part.len > j.total - j.filled) return false;
            @memcpy(to[j.filled..][0..part.len], part);
            j.filled += @intCast(part.len);
            return true;
        }

        pub fn message(j: *const Self) []const u8 {
            return if (j.memory) |from| from[0..j.total] else &.{};
        }

        pub fn deinit(j: *Self) void {
            Sys.unmap(j.memory, j.capacity);
            j.* = .{};
        }
    };
}
