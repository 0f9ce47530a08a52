//! Waiting for a set of channels and descriptors: look, spin, announce, look again, sleep.
//!
//! One spin and one membarrier serve the whole set. Spinning is for peers that run on another CPU. A blocking wait spins only for those that
//! were busy lately, and ever less often where it keeps finding nothing; the callers of poll() judge that themselves. A sleep ends by a byte on the doorbell, by its hang-up, by the peer's pidfd, or on the futex.

const std = @import("std");
const control = @import("../layout/control.zig");
const fault = @import("fault.zig");
const bells = @import("bell.zig");
const epochs = @import("epochs.zig");

pub const readable: u32 = 1;
pub const writable: u32 = 2;

/// fable_wait_entry
pub const Entry = extern struct {
    handle: u32,
    want: u32,
    ready: u32,
    reserved: u32,
};

/// The longest sleep on a futex: a futex is no descriptor, so nothing else is noticed meanwhile, the waker neither.
const futex_slice_ns = 50 * std.time.ns_per_ms;
/// A forced spin looks at the peer's life this often, and becomes a sleep after a while: for ever, it would take a core from others.
const spin_check_ns = std.time.ns_per_ms;
const forced_spin_ns = 100 * std.time.ns_per_ms;
/// A spin looks without being told to every so many looks: not everything that changes can be seen in memory.
const sure_looks = 128;
/// Looks to leave out after a vain one that asked the kernel: a writer says that bytes come before the kernel has them, and looking again at
/// once would keep it from sending them.
const kernel_pause = 8;

pub fn Waiter(comptime Sys: type, comptime Channel: type) type {
    return struct {
        const Self = @This();

        pub const Item = struct {
            /// Null: a descriptor, or a handle that is no channel (then it is `broken`).
            channel: ?*Channel,
            fd: i32 = -1,
            want: u32,
            ready: u32 = 0,
            broken: bool = false,
        };

        items: []Item,
        /// For ppoll: `fds_per_item` for each and one more.
        fds: []Sys.PollFd,

        /// Doorbell, pidfd, and what channel.watched() names.
        pub const fds_per_item = 5;

        /// How an entry waits: as the path does that it waits for.
        fn kindOf(item: *const Item, c: *const Channel) @TypeOf(c.out.kind) {
            return if (item.want & readable != 0) c.in.kind else c.out.kind;
        }

        /// Looks once at everything. How many are ready.
        fn look(w: *Self) u32 {
            var count: u32 = 0;
            for (w.items) |*item| {
                const c = item.channel orelse {
                    if (item.broken) item.ready = item.want;
                    if (item.ready != 0) count += 1;
                    continue;
                };
                item.ready = 0;
                if (item.want & readable != 0 and c.readable()) item.ready |= readable;
                if (item.want & writable != 0 and c.writable()) item.ready |= writable;
                if (item.want & readable == 0) c.idle();
                if (item.ready == 0) continue;
                c.traffic = true;
                count += 1;
            }
            return count;
        }

        /// Looks once at the plain descriptors, and at sockets that only ppoll can tell about.
        fn lookAtDescriptors(w: *Self) void {
            var count: usize = 0;
            for (w.items) |*item| {
                if (item.channel != null or item.broken) continue;
                w.fds[count] = .{ .fd = item.fd, .events = events(item.want), .revents = 0 };
                count += 1;
            }
            if (count == 0) return;
            _ = Sys.poll(w.fds[0..count], 0);
            count = 0;
            for (w.items) |*item| {
                if (item.channel != null or item.broken) continue;
                item.ready = readyOf(w.fds[count].revents, item.want);
                count += 1;
            }
        }

        fn events(want: u32) i16 {
            return (if (want & readable != 0) Sys.POLLIN else 0) | (if (want & writable != 0) Sys.POLLOUT else @as(i16, 0));
        }

        fn readyOf(revents: i16, want: u32) u32 {
            if (revents & (Sys.POLLHUP | Sys.POLLERR) != 0) return want & (readable | writable);
            return (if (revents & Sys.POLLIN != 0) readable else 0) | (if (revents & Sys.POLLOUT != 0) writable else @as(u32, 0));
        }

        fn awake(w: *Self) void {
            for (w.items) |*item| if (item.channel) |c| c.bell.awake();
        }

        /// Is there a peer worth spinning for?
        fn worthSpinning(w: *Self, adaptive: bool) bool {
            var worth = false;
            const here = Sys.cpu();
            for (w.items) |*item| {
                const c = item.channel orelse continue;
                if (c.bell.own.cpu != here) c.bell.own.cpu = here;
                if (kindOf(item, c) == .mempipe_futex) continue;
                if (adaptive) {
                    if (!c.traffic) continue;
                    if (c.spin_pause > 0) {
                        c.spin_pause -= 1;
                        continue;
                    }
                }
                if (@as(*const volatile u32, &c.bell.peer.cpu).* != here) worth = true;
            }
            return worth;
        }

        fn spin(w: *Self, spin_ns: u64, adaptive: bool) u32 {
            const until = Sys.nowNs() +% spin_ns;
            var found: u32 = 0;
            var looks: u32 = 0;
            var next: u32 = 0;
            const kernel = w.throughKernel();
            while (true) {
                if (!kernel or looks % sure_looks == 0 or (looks >= next and w.stirred())) {
                    found = w.look();
                    if (found != 0) break;
                    next = looks + kernel_pause;
                }
                looks += 1;
                w.betweenLooks();
                if (looks % 32 == 0 and Sys.nowNs() >= until) break;
            }
            if (found != 0) for (w.items) |*item| {
                const c = item.channel orelse continue;
                if (item.ready & readable != 0) c.pacer.found(c.writer().published);
            };
            if (adaptive) for (w.items) |*item| {
                const c = item.channel orelse continue;
                if (item.ready != 0) {
                    c.spin_misses = 0;
                } else if (found == 0 and c.traffic) {
                    c.traffic = false; // not before something comes again
                    c.spin_misses = @min(c.spin_misses +| 1, 6);
                    c.spin_pause = (@as(u32, 1) << c.spin_misses) - 2;
                }
            };
            return found;
        }

        /// Looking is more than loads from memory.
        fn throughKernel(w: *Self) bool {
            for (w.items) |*item| if (item.channel) |c| if (c.in.transport != .ring or c.out.transport != .ring) return true;
            return false;
        }

        fn stirred(w: *Self) bool {
            for (w.items) |*item| if (item.channel) |c| if (c.stirred(item.want)) return true;
            return false;
        }

        fn betweenLooks(w: *Self) void {
            if (w.items.len == 1 and w.items[0].want & readable != 0) {
                if (w.items[0].channel) |c| return c.pacer.missed(Sys);
            }
            Sys.relax();
        }

        pub const Announce = enum { no, doorbell, native };

        /// fable_poll. How many are ready; 0 after announcing: sleep.
        pub fn poll(w: *Self, spin_ns: u64, announce: Announce) u32 {
            w.awake();
            w.lookAtDescriptors();
            var count = w.look();
            if (count != 0) return count;
            const adaptive = announce == .native;
            if (spin_ns != 0 and w.worthSpinning(adaptive)) {
                count = w.spin(spin_ns, adaptive);
                if (count != 0) return count;
            }
            if (announce == .no) return 0;
            const here = Sys.cpu();
            var fences = true;
            for (w.items) |*item| {
                const c = item.channel orelse continue;
                c.bell.own.cpu = here;
                if (!c.announce(item.want, announce == .native, w.futexed())) fences = false;
            }
            if (fences or !Sys.globalBarrier()) bells.fullFence();
            count = w.look();
            if (count == 0 and announce == .doorbell) count = w.settle();
            if (count != 0) w.awake();
            return count;
        }

        /// An event loop sees only doorbells: what the kernel holds back for a moment is waited for here.
        fn settle(w: *Self) u32 {
            var count: u32 = 0;
            for (w.items) |*item| {
                const c = item.channel orelse continue;
                if (!c.settle()) continue;
                item.ready = item.want & (readable | writable);
                count += 1;
            }
            return count;
        }

        /// A futex serves exactly one channel, and nothing but memory: not one that waits for room in the kernel.
        fn futexed(w: *const Self) bool {
            if (w.items.len != 1) return false;
            const c = w.items[0].channel orelse return false;
            return kindOf(&w.items[0], c) == .mempipe_futex and !c.pending();
        }

        /// What the peer was told, whatever came since.
        fn announcedFutex(w: *const Self) bool {
            const c = if (w.items.len == 1) w.items[0].channel else null;
            return if (c) |one| one.bell.own.sleep_word & control.sleep_futex != 0 else false;
        }

        fn forcedSpin(w: *const Self) bool {
            for (w.items) |*item| {
                const c = item.channel orelse return false;
                if (kindOf(item, c) != .mempipe_spin) return false;
            }
            return w.items.len != 0;
        }

        /// The program has a part in a move, and would not come to it in here.
        fn called(w: *Self) bool {
            var any = false;
            for (w.items) |*item| {
                const c = item.channel orelse continue;
                if (c.epochs.called) any = true;
                c.epochs.called = false;
            }
            return any;
        }

        pub const Woken = union(enum) { ready: u32, timeout, waker };

        /// fable_wait. Blocks until something is ready, `timeout_ms` passed (negative: never), `waker` is readable, or a move
        /// needs the program.
        pub fn wait(w: *Self, timeout_ms: i32, spin_ns: u64, waker: i32) Woken {
            const began = Sys.nowNs();
            const until: ?u64 = if (timeout_ms < 0) null else began +% @as(u64, @intCast(timeout_ms)) *% std.time.ns_per_ms;
            var forced = w.forcedSpin();
            const woken: Woken = while (true) {
                const count = if (forced) w.poll(0, .no) else w.poll(spin_ns, .native);
                if (count != 0) break .{ .ready = count };
                const now = Sys.nowNs();
                const left: ?u64 = if (until) |end| end -| now else null;
                if (w.called()) break .waker;
                if (left == 0) break .timeout;
                if (forced and now -% began < forced_spin_ns) {
                    w.place();
                    const spun = w.spin(@min(left orelse spin_check_ns, spin_check_ns), false);
                    if (spun != 0) break .{ .ready = spun };
                    if (w.sleep(0, waker)) break .waker;
                } else if (forced) {
                    forced = false;
                } else if (w.announcedFutex()) {
                    if (w.sleepOnFutex(left, waker)) break .waker;
                } else if (w.sleep(w.nap(left), waker)) break .waker;
            };
            w.awake();
            w.account(Sys.nowNs() -% began);
            return woken;
        }

        /// Who never sleeps tells observers here where it runs.
        fn place(w: *Self) void {
            const here = Sys.cpu();
            for (w.items) |*item| {
                const c = item.channel orelse continue;
                if (c.bell.own.cpu != here) c.bell.own.cpu = here;
            }
        }

        fn account(w: *Self, slept_ns: u64) void {
            for (w.items) |*item| {
                const c = item.channel orelse continue;
                if (item.want & readable != 0) c.bell.own.waited_ns +%= slept_ns else c.bell.own.blocked_ns +%= slept_ns;
            }
        }

        /// How long to sleep: less than asked for where a path has to be repaired soon.
        fn nap(w: *const Self, left: ?u64) ?u64 {
            for (w.items) |*item| {
                const c = item.channel orelse continue;
                if (c.owesRepair()) return @min(left orelse epochs.repair_pause_ns, epochs.repair_pause_ns);
            }
            return left;
        }

        /// True: the waker rang.
        fn sleepOnFutex(w: *Self, left: ?u64, waker: i32) bool {
            const c = w.items[0].channel.?;
            const announced = c.bell.own.sleep_word;
            const seen = @atomicLoad(u32, &c.bell.peer.rung_word, .acquire);
            if (seen != announced) {
                Sys.futexWait(&c.bell.peer.rung_word, seen, @min(left orelse futex_slice_ns, futex_slice_ns));
            }
            return w.sleep(0, waker);
        }

        /// ppoll on doorbells, sockets, pidfds, descriptors and the waker. True: the waker rang.
        fn sleep(w: *Self, left: ?u64, waker: i32) bool {
            var count: usize = 0;
            for (w.items) |*item| {
                const c = item.channel orelse {
                    if (!item.broken) add(w.fds, &count, item.fd, events(item.want));
                    continue;
                };
                add(w.fds, &count, c.doorbell, Sys.POLLIN);
                if (!c.dead) add(w.fds, &count, c.pid_fd, Sys.POLLIN);
                var more: [3]Channel.Watched = undefined;
                for (c.watched(item.want, &more)) |one| add(w.fds, &count, one.fd, one.events);
            }
            const before_waker = count;
            add(w.fds, &count, waker, Sys.POLLIN);
            const timeout: i64 = if (left) |ns| @intCast(@min(ns, 1 << 62)) else -1;
            if (Sys.poll(w.fds[0..count], timeout) == 0) return false;

            var next: usize = 0;
            const watched = w.fds[0..before_waker];
            for (w.items) |*item| {
                const c = item.channel orelse {
                    if (!item.broken) _ = answer(watched, &next, item.fd);
                    continue;
                };
                const rung = answer(watched, &next, c.doorbell) != 0;
                if (answer(watched, &next, c.pid_fd) != 0) c.peerDied();
                var more: [3]Channel.Watched = undefined;
                for (c.watched(item.want, &more)) |one| _ = answer(watched, &next, one.fd);
                if (rung) c.answerDoorbell();
            }
            return waker >= 0 and w.fds[before_waker].revents != 0;
        }

        /// What ppoll said about `fd`, if that is the next one it watched. Told by the descriptor, because one answer can change what the
        /// channel would have watched after it (a doorbell that hung up makes its pidfd superfluous).
        fn answer(watched: []const Sys.PollFd, next: *usize, fd: i32) i16 {
            if (fd < 0 or next.* == watched.len or watched[next.*].fd != fd) return 0;
            defer next.* += 1;
            return watched[next.*].revents;
        }

        fn add(fds: []Sys.PollFd, count: *usize, fd: i32, wanted: i16) void {
            if (fd < 0) return;
            fds[count.*] = .{ .fd = fd, .events = wanted, .revents = 0 };
            count.* += 1;
        }
    };
}
