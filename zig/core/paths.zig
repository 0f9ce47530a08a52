//! Paths of a direction: made by its writer, mapped by its reader after verification, given back.

const channels = @import("channel.zig");
const link = @import("../layout/link.zig");
const record = @import("../layout/record.zig");
const bells = @import("bell.zig");
const streams = @import("stream.zig");
const min_stream_bytes = @import("epochs_out.zig").min_stream_bytes;
const Writer = @import("record_writer.zig").Writer;
const Order = @import("epochs.zig").Order;
const Kind = channels.Kind;
const Outcome = channels.Outcome;

pub fn Paths(comptime Sys: type, comptime Self: type) type {
    return struct {
        const Out = Self.Out;
        const In = Self.In;

        pub fn present(fds: []const i32) []const i32 {
            var count: usize = 0;
            while (count < fds.len and fds[count] >= 0) count += 1;
            return fds[0..count];
        }

        // ---- memory of this end's own ----

        /// Mapped, without pages: `Sys.populate` gives it those.
        pub fn createRegion(c: *Self, name: [*:0]const u8, size: u32, into: *Self.Mapping, fd: *i32) Outcome {
            const made = Sys.create(name, size);
            if (made < 0) return c.system(made);
            fd.* = @intCast(made);
            const address = Sys.mapShared(fd.*, size, true);
            return if (into.set(address, size)) .ok else c.system(address);
        }

        /// Prefaulted by its writer, so that the memory is charged to it.
        pub fn makeRegion(c: *Self, name: [*:0]const u8, size: u32, into: *Self.Mapping, fd: *i32) Outcome {
            const outcome = createRegion(c, name, size, into, fd);
            if (outcome != .ok) return outcome;
            const rc = Sys.populate(into.address.?, size);
            return if (rc < 0) c.system(rc) else .ok;
        }

        pub fn sealRegion(c: *Self, fd: i32, seals: u32) Outcome {
            const rc = Sys.seal(fd, seals);
            return if (rc < 0) c.system(rc) else .ok;
        }

        // ---- the writer's end ----

        /// `fds`: what the reader gets; the memory of a ring or heap is there already.
        pub fn makeOut(c: *Self, out: *Out, order: Order, fds: *[link.max_fds]i32) Outcome {
            if (order.kind.sharedMemory()) return finishRing(c, out, fds[0]);
            if (order.kind == .shmem_pipe) return finishHeap(c, out, fds);
            const outcome = makeStream(c, out, order.ring_bytes);
            if (outcome != .ok) return outcome;
            const t = &out.transport.stream;
            var ends: [2]i32 = .{ -1, -1 };
            const rc = switch (order.kind) {
                .unix => Sys.pair(&ends),
                .tcp => Sys.tcpPair(&ends, false),
                .tcp_nodelay => Sys.tcpPair(&ends, true),
                .pipe, .vmsplice_coop => Sys.pipePair(&ends),
                else => return .unsupported,
            };
            if (rc < 0) return c.system(rc);
            // of a pipe the writing end comes second
            const writing: usize = if (t.medium == .socket) 0 else 1;
            t.fd = ends[writing];
            t.keeps_back = order.kind == .tcp;
            fds[0] = ends[1 - writing];
            return if (t.medium == .socket) .ok else finishPipe(c, t, fds, order.kind == .vmsplice_coop);
        }

        /// The arena, and the counts of it; without a descriptor yet.
        pub fn makeStream(c: *Self, out: *Out, size: u32) Outcome {
            const address = Sys.mapPrivate(size);
            if (!out.arena.set(address, size)) return c.system(address);
            out.transport = .{ .stream = .{
                .writer = .init(out.arena.address.?, size, c.options.max_message, undefined, &c.bell),
                .medium = mediumOf(out.kind),
                .sent_to = c.bell.own.streamSent(out.epoch),
            } };
            out.live = true;
            const t = &out.transport.stream;
            t.writer.released_at = &t.acked;
            @atomicStore(u64, t.sent_to, 0, .release);
            return .ok;
        }

        fn finishPipe(c: *Self, t: *Self.StreamOut, fds: *[link.max_fds]i32, spliced: bool) Outcome {
            const kept = Sys.duplicate(fds[0]);
            if (kept < 0) return c.system(kept);
            t.kept_fd = @intCast(kept);
            if (!spliced) return .ok;
            var ends: [2]i32 = undefined;
            const rc = Sys.pipePair(&ends);
            if (rc < 0) return c.system(rc);
            t.acks_fd = ends[0];
            fds[1] = ends[1];
            return .ok;
        }

        fn mediumOf(kind: Kind) streams.Medium {
            return switch (kind) {
                .pipe => .pipe,
                .vmsplice_coop => .splice,
                else => .socket,
            };
        }

        /// A sealed ring.
        pub fn makeRing(c: *Self, out: *Out, size: u32, fd: *i32) Outcome {
            const outcome = makeRegion(c, region_name, size, &out.arena, fd);
            return if (outcome == .ok) finishRing(c, out, fd.*) else outcome;
        }

        /// The memory of a ring or heap, without pages.
        pub fn beginMemory(c: *Self, out: *Out, size: u32, fd: *i32) Outcome {
            return createRegion(c, region_name, size, &out.arena, fd);
        }

        const region_name = "fable-ring";

        // ---- NUMA: memory belongs with who reads it ----

        /// The node of the peer, by its own word: 0 if there is nothing to choose.
        pub fn readersNode(c: *const Self) u32 {
            return Sys.nodeOfCpu(@as(*const volatile u32, &c.bell.peer.cpu).*);
        }

        /// All memory of `out` is there: where?
        pub fn settled(out: *Out) void {
            out.node = if (out.kind.memory()) Sys.homeOf(out.arena.address.?, out.arena.size) else 0;
        }

        pub fn misplaced(c: *const Self, out: *const Out) bool {
            if (out.node == 0) return false;
            const node = readersNode(c);
            return node != 0 and node != out.node;
        }

        fn finishRing(c: *Self, out: *Out, fd: i32) Outcome {
            const outcome = sealRegion(c, fd, sealsOf(c));
            if (outcome != .ok) return outcome;
            out.transport = .{ .ring = .{ .writer = .init(out.arena.address.?, out.arena.size, c.options.max_message, &bells.nobody.released_even, &c.bell) } };
            out.live = true;
            return .ok;
        }

        fn sealsOf(c: *const Self) u32 {
            return if (c.strict or c.options.trust == .untrusted) Sys.seals_read_only else Sys.seals_fixed_size;
        }

        /// The heap, the pipe for its runs, and the pipe by which they come back.
        fn finishHeap(c: *Self, out: *Out, fds: *[link.max_fds]i32) Outcome {
            const outcome = sealRegion(c, fds[0], sealsOf(c));
            if (outcome != .ok) return outcome;
            const size = out.arena.size;
            const scratch = Sys.mapPrivate(Self.HeapOut.scratchBytes(size));
            if (scratch < 0) return c.system(scratch);
            const memory: [*]u8 = @ptrFromInt(@as(usize, @bitCast(scratch)));
            out.transport = .{ .heap = .init(.init(out.arena.address.?, size, c.options.max_message, &bells.nobody.released_even, &c.bell), memory) };
            out.live = true;
            const t = &out.transport.heap;
            t.begin();
            var ends: [2]i32 = undefined;
            var rc = Sys.pipePair(&ends);
            if (rc < 0) return c.system(rc);
            fds[1] = ends[0];
            t.fd = ends[1];
            rc = Sys.duplicate(ends[0]);
            if (rc < 0) return c.system(rc);
            t.kept_fd = @intCast(rc);
            rc = Sys.pipePair(&ends);
            if (rc < 0) return c.system(rc);
            t.back_fd = ends[0];
            fds[2] = ends[1];
            return .ok;
        }

        /// Where the peer, which has its end of `out` now, counts what it took.
        pub fn watchPeer(c: *Self, out: *Out) void {
            switch (out.transport) {
                .ring => |*t| t.writer.released_at = c.bell.peer.released(out.epoch),
                .heap => |*t| t.returns_at = c.bell.peer.released(out.epoch),
                .stream => |*t| {
                    t.received_at = c.bell.peer.released(out.epoch);
                    t.taken_at = c.bell.peer.streamTaken(out.epoch);
                },
            }
        }

        pub fn dropOut(out: *Out) void {
            if (out.live) switch (out.transport) {
                inline else => |*t| t.close(),
            };
            out.live = false;
            out.arena.drop();
        }

        /// The records from `first` on, `size` bytes without PADs, in sealed memory.
        pub fn pack(c: *Self, w: *const Writer, first: u64, size: u64, fd: *i32) Outcome {
            var memory: Self.Mapping = .{};
            defer memory.drop();
            const outcome = makeRegion(c, "fable-rest", @intCast(size), &memory, fd);
            if (outcome != .ok) return outcome;
            var runs = w.runs(first, w.published);
            var filled: usize = 0;
            while (runs.next()) |run| {
                const part = @min(run.len, memory.size - filled);
                @memcpy(memory.address.?[filled..][0..part], run[0..part]);
                filled += part;
            }
            return sealRegion(c, fd.*, Sys.seals_read_only);
        }

        // ---- the reader's end ----

        /// Memory that the peer chose the size of: this end maps, and fills, as much. An untrusted one gets what this end agreed to anyway:
        /// a ring as large as its own or as it asked for, or as one message.
        pub fn agreed(c: *const Self, size: u32, max_message: u32) Outcome {
            if (!record.validRingBytes(size)) return .bad_region;
            const own = @max(c.options.ring_bytes, c.epochs.asked_bytes, min_stream_bytes);
            return if (c.copies and size > own and size / 2 >= max_message) .too_large else .ok;
        }

        /// Takes what it keeps of `fds` (sets it to -1).
        pub fn mapIn(c: *Self, in: *In, size: u32, fds: []i32) Outcome {
            const fits = agreed(c, size, c.options.max_message);
            if (fits != .ok) return fits;
            if (in.kind == .vmsplice_coop and c.copies) return .unsupported;
            const wanted: usize = switch (in.kind) {
                .shmem_pipe => 3,
                .vmsplice_coop => 2,
                else => 1,
            };
            if (fds.len != wanted) return .bad_region;
            if (in.kind.sharedMemory()) return mapRing(c, in, fds[0], size);
            if (in.kind == .shmem_pipe) return mapHeap(c, in, size, fds);
            const right = switch (in.kind) {
                .unix => Sys.isStream(fds[0]),
                .tcp, .tcp_nodelay => Sys.isTcp(fds[0]),
                .pipe => Sys.isPipe(fds[0]),
                else => Sys.isPipe(fds[0]) and Sys.isPipe(fds[1]),
            };
            if (!right) return .bad_region;
            const outcome = mapStream(c, in, size);
            if (outcome != .ok) return outcome;
            const t = &in.transport.stream;
            if (t.medium != .socket) t.own_fd = Sys.makeOwnPipe(&fds[0]);
            t.fd = fds[0];
            if (wanted == 2) t.acks_fd = fds[1];
            @memset(fds, -1);
            return .ok;
        }

        /// The arena, and the counts of it; without a descriptor yet.
        pub fn mapStream(c: *Self, in: *In, size: u32) Outcome {
            const address = Sys.mapPrivate(size);
            if (!in.arena.set(address, size)) return c.system(address);
            in.transport = .{ .stream = .{
                .reader = .init(in.arena.address.?, size, c.options.max_message, &c.bell),
                .medium = mediumOf(in.kind),
                .received_to = c.bell.own.released(in.epoch),
                .taken_to = c.bell.own.streamTaken(in.epoch),
                .sent_at = c.bell.peer.streamSent(in.epoch),
            } };
            in.live = true;
            return .ok;
        }

        /// The descriptor stays the caller's.
        pub fn mapRing(c: *Self, in: *In, fd: i32, size: u32) Outcome {
            var copies = c.copies;
            const outcome = mapMemory(c, in, fd, size, &copies);
            if (outcome != .ok) return outcome;
            const base = in.ring.address.?;
            in.transport = .{ .ring = .{ .reader = .init(base, if (copies) in.arena.address.? else base, size, c.options.max_message, &c.bell) } };
            in.transport.ring.reader.released_to = c.bell.own.released(in.epoch);
            in.live = true;
            return .ok;
        }

        fn mapHeap(c: *Self, in: *In, size: u32, fds: []i32) Outcome {
            if (!Sys.isPipe(fds[1]) or !Sys.isPipe(fds[2])) return .bad_region;
            var copies = c.copies;
            const outcome = mapMemory(c, in, fds[0], size, &copies);
            if (outcome != .ok) return outcome;
            const scratch = Sys.mapPrivate(Self.HeapIn.scratchBytes(size));
            if (scratch < 0) return c.system(scratch);
            const base = in.ring.address.?;
            in.transport = .{ .heap = .init(.init(base, if (copies) in.arena.address.? else base, size, c.options.max_message, &c.bell), @ptrFromInt(@as(usize, @bitCast(scratch)))) };
            in.live = true;
            const t = &in.transport.heap;
            t.returns_to = c.bell.own.released(in.epoch);
            t.fd = fds[1];
            t.back_fd = fds[2];
            Sys.setNonBlocking(t.back_fd);
            fds[1] = -1;
            fds[2] = -1;
            return .ok;
        }

        fn mapMemory(c: *Self, in: *In, fd: i32, size: u32, copies: *bool) Outcome {
            const seals = if (c.strict) Sys.seals_read_only else Sys.seals_fixed_size;
            if (!Sys.isRegion(fd, size, seals)) return .bad_region;
            if (!copies.*) {
                // writable only so that a stray store of the application into a lent buffer is no crash
                copies.* = !in.ring.set(Sys.mapShared(fd, size, true), size);
            }
            if (copies.*) {
                var address = Sys.mapShared(fd, size, false);
                if (!in.ring.set(address, size)) return c.system(address);
                address = Sys.mapPrivate(size);
                if (!in.arena.set(address, size)) return c.system(address);
            }
            return .ok;
        }

        pub fn dropIn(in: *In) void {
            if (in.live) switch (in.transport) {
                inline else => |*t| t.close(),
            };
            in.live = false;
            in.arena.drop();
            in.ring.drop();
        }
    };
}
