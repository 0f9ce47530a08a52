//! A table of mappings that observers hold, by ids that go stale: slot in the low 12 bits, generation above, never negative as an i32.

const std = @import("std");

pub fn Observers(comptime Mutex: type, comptime Item: type, comptime capacity: u32) type {
    comptime std.debug.assert(capacity <= 4096);
    return struct {
        mutex: Mutex = .{},
        items: [capacity]?Item = @splat(null),
        generations: [capacity]u32 = @splat(0),

        const Self = @This();
        const slot_bits = 12;
        const generation_max = (1 << 19) - 1;

        /// Null when the table is full.
        pub fn add(self: *Self, item: Item) ?u32 {
            self.mutex.lock();
            defer self.mutex.unlock();
            for (&self.items, &self.generations, 0..) |*place, *generation, slot| {
                if (place.* != null) continue;
                place.* = item;
                generation.* = generation.* % generation_max + 1;
                return generation.* << slot_bits | @as(u32, @intCast(slot));
            }
            return null;
        }

        /// Keeps the item from being removed until `release`.
        pub fn hold(self: *Self, id: u32) ?Item {
            self.mutex.lock();
            if (self.find(id)) |slot| return self.items[slot];
            self.mutex.unlock();
            return null;
        }

        pub fn release(self: *Self) void {
            self.mutex.unlock();
        }

        pub fn remove(self: *Self, id: u32) ?Item {
            self.mutex.lock();
            defer self.mutex.unlock();
            const slot = self.find(id) orelse return null;
            defer self.items[slot] = null;
            return self.items[slot];
        }

        fn find(self: *Self, id: u32) ?u32 {
            const slot = id & ((1 << slot_bits) - 1);
            if (slot >= capacity or self.items[slot] == null or self.generations[slot] != id >> slot_bits) return null;
            return slot;
        }
    };
}

test "ids go stale and the table ends" {
    const Nothing = struct {
        fn lock(_: *@This()) void {}
        fn unlock(_: *@This()) void {}
    };
    const number: u32 = 7;
    var table: Observers(Nothing, *const u32, 2) = .{};
    const first = table.add(&number).?;
    const second = table.add(&number).?;
    try std.testing.expect(first != second and table.add(&number) == null);
    try std.testing.expectEqual(@as(?*const u32, &number), table.hold(first));
    table.release();
    try std.testing.expect(table.remove(first) != null);
    try std.testing.expect(table.remove(first) == null);
    try std.testing.expect(table.hold(first) == null);
    const again = table.add(&number).?;
    try std.testing.expect(again != first and table.hold(first) == null);
    try std.testing.expect(table.hold(0xffff_ffff) == null);
}
