//! The life of a channel's end: its own regions made and sealed, the peer's verified and mapped, everything given back.

const record = @import("../layout/record.zig");
const control = @import("../layout/control.zig");
const fault = @import("fault.zig");
const bells = @import("bell.zig");
const channels = @import("channel.zig");
const Outcome = channels.Outcome;
const Block = channels.Block;
const Control = control.Control;

pub fn Life(comptime Sys: type, comptime Self: type) type {
    return struct {
        const paths = @import("paths.zig").Paths(Sys, Self);

        /// Makes this end's regions and sockets. On failure everything is undone.
        pub fn open(c: *Self, options: channels.Options, block: *[channels.block_words]u32, offer: *channels.Offer) Outcome {
            block.* = @splat(0);
            c.* = .{
                .outs = @splat(.{ .transport = undefined, .kind = options.kind }),
                .ins = @splat(.{ .transport = undefined, .kind = options.kind }),
                .out = &c.outs[0],
                .in = &c.ins[0],
                .bell = undefined,
                .options = options,
                .block = block,
            };
            offer.* = .{};
            const outcome = openRegions(c, offer);
            if (outcome == .ok) return .ok;
            inline for (.{ offer.control, offer.ring, offer.doorbell, offer.data, offer.link }) |fd| Sys.close(fd);
            dropAll(c);
            return outcome;
        }

        fn openRegions(c: *Self, offer: *channels.Offer) Outcome {
            c.block[Block.write_transport] = @intFromEnum(c.options.kind);
            c.block[Block.read_transport] = @intFromEnum(c.options.kind);
            var outcome = paths.makeRegion(c, "fable-control", control.bytes, &c.own_control, &offer.control);
            if (outcome != .ok) return outcome;
            const own: *Control = @ptrCast(c.own_control.address.?);
            own.* = @bitCast(@as([control.bytes]u8, @splat(0)));
            own.magic = control.magic;
            own.layout_version = control.layout_version;
            own.control_bytes = control.bytes;
            own.flags = if (c.options.no_membarrier) control.flag_no_membarrier else 0;
            own.ring_bytes = c.options.ring_bytes;
            own.transport = @intFromEnum(c.options.kind);
            own.max_message_bytes = c.options.max_message;
            own.trust = @intFromEnum(c.options.trust);
            own.pid = Sys.processId();
            own.cpu = Sys.cpu();
            own.write_transport = own.transport;
            own.read_transport = own.transport;
            outcome = paths.sealRegion(c, offer.control, Sys.seals_read_only);
            if (outcome != .ok) return outcome;

            c.bell = .{ .own = own, .peer = &bells.nobody, .fence = c.options.no_membarrier, .doorbell = -1, .calls = &calls };
            const size = c.options.ring_bytes;
            outcome = if (c.options.kind.sharedMemory()) paths.makeRing(c, c.out, size, &offer.ring) else paths.makeStream(c, c.out, size);
            if (outcome != .ok) return outcome;
            paths.settled(c.out);
            own.write_node = c.out.node;
            c.block[Block.free] = c.writer().free();
            return if (c.options.role == .initiator) makeSockets(c, offer) else .ok;
        }

        fn makeSockets(c: *Self, offer: *channels.Offer) Outcome {
            var ends: [2]i32 = undefined;
            var rc = Sys.pair(&ends);
            if (rc < 0) return c.system(rc);
            c.doorbell = ends[0];
            offer.doorbell = ends[1];
            c.bell.doorbell = c.doorbell;
            rc = Sys.packets(&ends);
            if (rc < 0) return c.system(rc);
            c.link = ends[0];
            offer.link = ends[1];
            if (c.options.kind.sharedMemory()) return .ok;
            rc = Sys.pair(&ends);
            if (rc < 0) return c.system(rc);
            c.out.transport.stream.fd = ends[0];
            offer.data = ends[1];
            return .ok;
        }

        const calls: bells.Calls = .{ .wake = Sys.wake, .ring = Sys.ring };

        /// Maps and verifies what the peer made. Refusing leaves this end unattached: another peer may be tried.
        pub fn attach(c: *Self, peer: *channels.Peer) Outcome {
            if (c.attached) return .bad_argument;
            const acceptor = c.options.role == .acceptor;
            const shared = c.options.kind.sharedMemory();
            if ((acceptor and peer.doorbell < 0) or acceptor != (peer.link >= 0) or (acceptor and !shared) != (peer.data >= 0) or shared != (peer.ring >= 0)) return .bad_argument;
            if (peer.doorbell >= 0 and !Sys.isStream(peer.doorbell)) return .bad_region;
            if (acceptor and (!Sys.isPackets(peer.link) or (!shared and !Sys.isStream(peer.data)))) return .bad_region;
            const outcome = mapPeer(c, peer, shared);
            if (outcome != .ok) {
                paths.dropIn(c.in);
                c.peer_control.drop();
                return outcome;
            }
            if (peer.doorbell >= 0) {
                Sys.setNonBlocking(peer.doorbell);
                Sys.close(c.doorbell); // an initiator's own, in whose place the broker made another
                c.doorbell = peer.doorbell;
                peer.doorbell = -1;
                c.bell.doorbell = c.doorbell;
            }
            if (acceptor) {
                c.link = peer.link;
                peer.link = -1;
                if (!shared) {
                    c.out.transport.stream.fd = peer.data;
                    peer.data = -1;
                }
            }
            c.pid_fd = peer.pid;
            peer.pid = -1;
            c.attached = true;
            return .ok;
        }

        fn mapPeer(c: *Self, peer: *channels.Peer, shared: bool) Outcome {
            if (!Sys.isRegion(peer.control, control.bytes, Sys.seals_read_only)) return .bad_region;
            const address = Sys.mapShared(peer.control, control.bytes, false);
            if (!c.peer_control.set(address, control.bytes)) return c.system(address);
            const theirs: *const Control = @ptrCast(c.peer_control.address.?);
            // each word once: the peer can write here at any time
            const at: *const volatile Control = theirs;
            if (at.magic != control.magic) return .bad_region;
            if (at.layout_version != control.layout_version or at.control_bytes != control.bytes) return .abi_mismatch;
            const size = at.ring_bytes;
            const max = at.max_message_bytes;
            if (!record.validRingBytes(size) or max == 0 or max > record.max_message_bytes or at.transport != @intFromEnum(c.options.kind)) return .bad_region;
            const agreed = @min(max, c.options.max_message);
            const fences = c.options.no_membarrier or at.flags & control.flag_no_membarrier != 0;

            c.strict = peer.trust == .untrusted;
            c.copies = peer.trust == .untrusted or c.options.trust == .untrusted;
            const fits = paths.agreed(c, size, agreed);
            if (fits != .ok) return fits;
            c.bell.peer = theirs;
            c.options.max_message = agreed;
            const outcome = if (shared) paths.mapRing(c, c.in, peer.ring, size) else mapStream(c, size, peer.data);
            if (outcome != .ok) {
                c.bell.peer = &bells.nobody;
                return outcome;
            }
            c.bell.fence = fences;
            c.writer().max_message = agreed;
            paths.watchPeer(c, c.out);
            return .ok;
        }

        /// Each direction has a descriptor of its own, so that one can move and the other stay.
        fn mapStream(c: *Self, size: u32, data: i32) Outcome {
            const outcome = paths.mapStream(c, c.in, size);
            if (outcome != .ok) return outcome;
            const fd = Sys.duplicate(if (data >= 0) data else c.out.transport.stream.fd);
            if (fd < 0) return c.system(fd);
            c.in.transport.stream.fd = @intCast(fd);
            return .ok;
        }

        /// Tells the peer, frees everything. What a stream could not send by now is lost.
        pub fn close(c: *Self) void {
            if (!c.write_closed and c.attached and c.faulted == fault.none) {
                c.write_closed = true;
                switch (c.out.transport) {
                    inline else => |*t| t.end(),
                }
                c.repair();
            }
            if (c.faulted == fault.none) @atomicStore(u32, &c.bell.own.state, @intFromEnum(control.State.closed), .release);
            c.bell.notifyAll();
            c.joiner.deinit();
            dropAll(c);
        }

        fn dropAll(c: *Self) void {
            c.dropPaths();
            inline for (.{ "doorbell", "link", "pid_fd" }) |name| Sys.close(@field(c, name));
            c.own_control.drop();
            c.peer_control.drop();
        }
    };
}
