//! Handle tables: u32 = slot (12 bits) | generation (20 bits, never 0). Allocation is locked; a look-up takes no lock and makes no system
//! call. Whoever looks up must be the owner thread, so a slot cannot be freed under it.

const std = @import("std");

pub const slots = 4096;
const slot_mask: u32 = slots - 1;
const generation_limit: u32 = 1 << 20;

pub const Refused = error{ BadHandle, WrongThread };

pub fn Table(comptime T: type) type {
    return struct {
        const Self = @This();

        /// 0: free.
        generations: [slots]std.atomic.Value(u32) = @splat(.init(0)),
        owners: [slots]usize = @splat(0),
        /// Generation of the last use, so that no handle comes twice before 2^20 uses of its slot.
        past: [slots]u32 = @splat(0),
        items: [slots]T = undefined,
        held: std.atomic.Value(bool) = .init(false),
        search: u32 = 0,

        pub fn lock(t: *Self) void {
            while (t.held.swap(true, .acquire)) std.atomic.spinLoopHint();
        }

        pub fn unlock(t: *Self) void {
            t.held.store(false, .release);
        }

        /// A slot that nobody else gets. It has no handle before publish().
        pub fn reserve(t: *Self) ?u32 {
            t.lock();
            defer t.unlock();
            var i: u32 = 0;
            while (i < slots) : (i += 1) {
                const slot = (t.search +% i) & slot_mask;
                if (t.generations[slot].load(.monotonic) != 0) continue;
                t.search = slot +% 1;
                t.generations[slot].store(generation_limit, .monotonic); // taken, and equal to no handle's
                return slot;
            }
            return null;
        }

        pub fn publish(t: *Self, slot: u32, owner: usize) u32 {
            const generation = if (t.past[slot] + 1 >= generation_limit) 1 else t.past[slot] + 1;
            t.past[slot] = generation;
            t.owners[slot] = owner;
            t.generations[slot].store(generation, .release);
            return generation << 12 | slot;
        }

        pub inline fn get(t: *Self, handle: u32, thread: usize) Refused!*T {
            const slot = handle & slot_mask;
            const generation = handle >> 12;
            if (generation == 0 or t.generations[slot].load(.acquire) != generation) return error.BadHandle;
            if (t.owners[slot] != thread) return error.WrongThread;
            return &t.items[slot];
        }

        /// The handle in `slot`, if `thread` owns it.
        pub fn handleAt(t: *Self, slot: u32, thread: usize) ?u32 {
            const generation = t.generations[slot].load(.acquire);
            if (generation == 0 or generation == generation_limit or t.owners[slot] != thread) return null;
            return generation << 12 | slot;
        }

        /// For figures that any thread may ask for: valid until unlock().
        pub fn getLocked(t: *Self, handle: u32) ?*T {
            const slot = handle & slot_mask;
            t.lock();
            if (handle >> 12 != 0 and t.generations[slot].load(.acquire) == handle >> 12) return &t.items[slot];
            t.unlock();
            return null;
        }

        /// The handle is stale from here on; the slot stays taken until release().
        pub fn retire(t: *Self, slot: u32) void {
            t.lock();
            defer t.unlock();
            t.generations[slot].store(generation_limit, .release);
        }

        pub fn release(t: *Self, slot: u32) void {
            t.generations[slot].store(0, .release);
        }

        pub inline fn slotOf(handle: u32) u32 {
            return handle & slot_mask;
        }
    };
}

test "a handle is stale after release, and its slot comes again under another" {
    const t = try std.testing.allocator.create(Table(u64));
    defer std.testing.allocator.destroy(t);
    t.* = .{};
    const slot = t.reserve().?;
    const handle = t.publish(slot, 7);
    try std.testing.expectError(error.WrongThread, t.get(handle, 8));
    (try t.get(handle, 7)).* = 42;
    try std.testing.expectEqual(handle, t.handleAt(slot, 7));
    try std.testing.expectEqual(null, t.handleAt(slot, 8));
    try std.testing.expectEqual(null, t.handleAt(slot +% 1 & slot_mask, 7));
    t.retire(slot);
    try std.testing.expectError(error.BadHandle, t.get(handle, 7));
    t.release(slot);
    try std.testing.expectError(error.BadHandle, t.get(0, 7));
    try std.testing.expectError(error.BadHandle, t.get(slot, 7));
    t.search = slot;
    const again = t.publish(t.reserve().?, 7);
    try std.testing.expect(again != handle and again & 4095 == handle & 4095);
    // full
    var taken: u32 = 1;
    while (t.reserve()) |_| taken += 1;
    try std.testing.expectEqual(@as(u32, slots), taken);
}
