//! The reactor: one poller for the whole process, loops that take what is ready. Pure bookkeeping; `Sys` makes the system calls.
//!
//!   source  one descriptor watched by one loop.   idle ── arm ──▶ armed ── event ──▶ queued ── take ──▶ idle
//!   loop    a queue of its queued sources and a doorbell, rung when the queue stops being empty.
//!
//! A source is in its loop's queue at most once and comes back only when re-armed, so the queue is as bounded as the table of sources:
//! it is a list through them and cannot overflow. Each arming has a new generation in the poller's key; an event of an earlier one (the
//! descriptor was forgotten, re-armed or re-used meanwhile) matches nothing and is dropped.
//!
//! The poller knows a file only once per descriptor number: a second loop that watches the same descriptor gets a duplicate inside.

const std = @import("std");

pub const max_loops = 64;
pub const max_sources = 16384;
const bucket_count = 4096;

pub const Result = union(enum) { ok: u32, bad_loop, not_watched, full, failed: isize };

pub fn Reactor(comptime Sys: type) type {
    return struct {
        mutex: Sys.Mutex = .{},
        /// All defaults are zero bits: the table takes no room in the library file.
        running: bool = false,
        poller: i32 = 0,
        loops: [max_loops]Loop = @splat(.{}),
        /// Links are stored plus one, so that a zeroed table is an empty one.
        buckets: [bucket_count]u32 = @splat(0),
        sources: [max_sources]Source = @splat(.{}),
        free_head: u32 = 0,
        /// Sources below this index were used at least once.
        used: u32 = 0,

        const Self = @This();

        const Loop = struct {
            open: bool = false,
            generation: u32 = 0,
            bell: [2]i32 = .{ 0, 0 },
            head: u32 = 0,
            tail: u32 = 0,
        };

        const State = enum(u8) { free, idle, armed, queued };

        const Source = struct {
            state: State = .free,
            /// The poller refuses it (a regular file): it is ready whenever it is armed.
            always_ready: bool = false,
            loop: u8 = 0,
            fd: i32 = 0,
            /// What the poller was given: `fd`, or a duplicate.
            polled_fd: i32 = 0,
            token: u32 = 0,
            wanted: u32 = 0,
            ready: u32 = 0,
            generation: u32 = 0,
            same_bucket: u32 = 0,
            next: u32 = 0,
            before: u32 = 0,
        };

        /// A new loop. `bell_fd` gets a byte whenever its queue stops being empty.
        pub fn openLoop(self: *Self, bell_fd: *i32) Result {
            self.mutex.lock();
            defer self.mutex.unlock();
            const rc = self.begin();
            if (rc < 0) return .{ .failed = rc };
            for (&self.loops, 0..) |*loop, slot| {
                if (loop.open) continue;
                const made = Sys.bell(&loop.bell);
                if (made < 0) return .{ .failed = made };
                loop.generation = loop.generation % ((1 << 25) - 1) + 1;
                loop.open = true;
                loop.head = 0;
                loop.tail = 0;
                bell_fd.* = loop.bell[0];
                return .{ .ok = loop.generation << 6 | @as(u32, @intCast(slot)) };
            }
            return .full;
        }

        pub fn closeLoop(self: *Self, id: u32) Result {
            self.mutex.lock();
            defer self.mutex.unlock();
            const slot = self.find(id) orelse return .bad_loop;
            for (0..self.used) |index| {
                const source = &self.sources[index];
                if (source.state != .free and source.loop == slot) self.release(@intCast(index));
            }
            const loop = &self.loops[slot];
            for (loop.bell) |fd| Sys.close(fd);
            loop.open = false;
            return .{ .ok = 0 };
        }

        /// Starts watching; a descriptor watched before under the same number is forgotten first.
        pub fn watch(self: *Self, id: u32, fd: i32, token: u32, wanted: u32) Result {
            self.mutex.lock();
            defer self.mutex.unlock();
            const slot = self.find(id) orelse return .bad_loop;
            if (self.lookup(slot, fd)) |old| self.release(old);
            const index = self.takeFree() orelse return .full;
            const source = &self.sources[index];
            source.* = .{ .loop = slot, .fd = fd, .polled_fd = fd, .token = token, .wanted = wanted, .generation = source.generation };
            if (self.polledDirectly(fd)) {
                const copy = Sys.duplicate(fd);
                if (copy < 0) {
                    self.giveFree(index);
                    return .{ .failed = copy };
                }
                source.polled_fd = @intCast(copy);
            }
            source.state = .idle;
            self.link(index);
            const rc = self.arm(index, true);
            if (rc >= 0) return .{ .ok = 0 };
            self.release(index);
            return .{ .failed = rc };
        }

        /// Re-arms what `watch` started.
        pub fn again(self: *Self, id: u32, fd: i32, token: u32, wanted: u32) Result {
            self.mutex.lock();
            defer self.mutex.unlock();
            const slot = self.find(id) orelse return .bad_loop;
            const index = self.lookup(slot, fd) orelse return .not_watched;
            const source = &self.sources[index];
            if (source.state == .queued) self.dequeue(index);
            source.token = token;
            source.wanted = wanted;
            const rc = self.arm(index, false);
            return if (rc < 0) .{ .failed = rc } else .{ .ok = 0 };
        }

        /// 1 if it was watched. Afterwards no token of it comes out of `take`.
        pub fn forget(self: *Self, id: u32, fd: i32) Result {
            self.mutex.lock();
            defer self.mutex.unlock();
            const slot = self.find(id) orelse return .bad_loop;
            const index = self.lookup(slot, fd) orelse return .{ .ok = 0 };
            self.release(index);
            return .{ .ok = 1 };
        }

        /// Fills pairs (token, ready) and says how many. What did not fit rings again.
        pub fn take(self: *Self, id: u32, out: []u32) Result {
            self.mutex.lock();
            defer self.mutex.unlock();
            const slot = self.find(id) orelse return .bad_loop;
            const loop = &self.loops[slot];
            var pairs: u32 = 0;
            while (loop.head != 0 and pairs * 2 + 2 <= out.len) : (pairs += 1) {
                const index = loop.head - 1;
                const source = &self.sources[index];
                out[pairs * 2] = source.token;
                out[pairs * 2 + 1] = source.ready;
                self.dequeue(index);
            }
            if (loop.head != 0) Sys.ring(loop.bell[1]);
            return .{ .ok = pairs };
        }

        /// Poller and thread, once.
        fn begin(self: *Self) isize {
            if (self.running) return 0;
            const poller = Sys.create();
            if (poller < 0) return poller;
            self.poller = @intCast(poller);
            self.running = Sys.start(run, self);
            if (self.running) return 0;
            Sys.close(self.poller);
            return Sys.no_thread;
        }

        /// The reactor's thread: waits and queues, for ever.
        fn run(context: ?*anyopaque) callconv(.c) ?*anyopaque {
            const self: *Self = @ptrCast(@alignCast(context));
            var events: [64]Sys.Event = undefined;
            while (true) self.deliver(Sys.wait(self.poller, &events));
        }

        pub fn deliver(self: *Self, events: []const Sys.Event) void {
            self.mutex.lock();
            defer self.mutex.unlock();
            for (events) |event| {
                const key = Sys.keyOf(event);
                const index: u32 = @truncate(key);
                if (index >= self.used) continue;
                const source = &self.sources[index];
                if (source.state != .armed or source.generation != @as(u32, @truncate(key >> 32))) continue;
                self.enqueue(index, Sys.readyOf(event));
            }
        }

        fn find(self: *Self, id: u32) ?u8 {
            const slot: u8 = @truncate(id & (max_loops - 1));
            const loop = &self.loops[slot];
            return if (loop.open and loop.generation == id >> 6) slot else null;
        }

        /// Tells the poller under a new generation. A poller that no longer knows the descriptor (closed and re-used without `forget`)
        /// is told anew.
        fn arm(self: *Self, index: u32, new: bool) isize {
            const source = &self.sources[index];
            source.generation +%= 1;
            const key = @as(u64, source.generation) << 32 | index;
            var rc: isize = if (source.always_ready) Sys.cannot_poll else if (new)
                Sys.add(self.poller, source.polled_fd, key, source.wanted)
            else
                Sys.rearm(self.poller, source.polled_fd, key, source.wanted);
            if (rc == Sys.not_there) rc = Sys.add(self.poller, source.polled_fd, key, source.wanted);
            if (rc == Sys.already_there) rc = Sys.rearm(self.poller, source.polled_fd, key, source.wanted);
            if (rc == Sys.cannot_poll) {
                source.always_ready = true;
                self.enqueue(index, source.wanted);
                return 0;
            }
            source.state = if (rc < 0) .idle else .armed;
            return rc;
        }

        fn enqueue(self: *Self, index: u32, ready: u32) void {
            const source = &self.sources[index];
            const loop = &self.loops[source.loop];
            // Who wants to read or write must find out about the end by doing so.
            source.ready = if (ready & Sys.hang_up != 0) ready | source.wanted else ready;
            source.state = .queued;
            source.next = 0;
            source.before = loop.tail;
            const was_empty = loop.head == 0;
            if (was_empty) loop.head = index + 1 else self.sources[loop.tail - 1].next = index + 1;
            loop.tail = index + 1;
            if (was_empty) Sys.ring(loop.bell[1]);
        }

        fn dequeue(self: *Self, index: u32) void {
            const source = &self.sources[index];
            const loop = &self.loops[source.loop];
            if (source.before == 0) loop.head = source.next else self.sources[source.before - 1].next = source.next;
            if (source.next == 0) loop.tail = source.before else self.sources[source.next - 1].before = source.before;
            source.state = .idle;
        }

        fn release(self: *Self, index: u32) void {
            const source = &self.sources[index];
            if (source.state == .queued) self.dequeue(index);
            if (!source.always_ready) Sys.remove(self.poller, source.polled_fd);
            if (source.polled_fd != source.fd) Sys.close(source.polled_fd);
            self.unlink(index);
            self.giveFree(index);
        }

        fn takeFree(self: *Self) ?u32 {
            if (self.free_head != 0) {
                const index = self.free_head - 1;
                self.free_head = self.sources[index].next;
                return index;
            }
            if (self.used == max_sources) return null;
            self.used += 1;
            return self.used - 1;
        }

        fn giveFree(self: *Self, index: u32) void {
            const source = &self.sources[index];
            source.state = .free;
            source.generation +%= 1;
            source.next = self.free_head;
            self.free_head = index + 1;
        }

        fn bucketOf(fd: i32) usize {
            return @as(u32, @bitCast(fd)) % bucket_count;
        }

        fn lookup(self: *Self, slot: u8, fd: i32) ?u32 {
            var link_at = self.buckets[bucketOf(fd)];
            while (link_at != 0) : (link_at = self.sources[link_at - 1].same_bucket) {
                const source = &self.sources[link_at - 1];
                if (source.fd == fd and source.loop == slot) return link_at - 1;
            }
            return null;
        }

        fn polledDirectly(self: *Self, fd: i32) bool {
            var link_at = self.buckets[bucketOf(fd)];
            while (link_at != 0) : (link_at = self.sources[link_at - 1].same_bucket) {
                if (self.sources[link_at - 1].polled_fd == fd) return true;
            }
            return false;
        }

        fn link(self: *Self, index: u32) void {
            const bucket = &self.buckets[bucketOf(self.sources[index].fd)];
            self.sources[index].same_bucket = bucket.*;
            bucket.* = index + 1;
        }

        fn unlink(self: *Self, index: u32) void {
            var place = &self.buckets[bucketOf(self.sources[index].fd)];
            while (place.* != index + 1) place = &self.sources[place.* - 1].same_bucket;
            place.* = self.sources[index].same_bucket;
        }
    };
}
