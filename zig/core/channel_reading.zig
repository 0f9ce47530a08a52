//! The reading half of a channel: windows, whole messages, and what it means when there is nothing.

const record = @import("../layout/record.zig");
const control = @import("../layout/control.zig");
const fault = @import("fault.zig");
const channels = @import("channel.zig");
const Outcome = channels.Outcome;
const Block = channels.Block;

pub fn Reading(comptime Self: type) type {
    return struct {
        /// Hands out new records: how many bytes of them (see block), or a negative Outcome.
        pub fn refill(c: *Self) i32 {
            if (quiet(c)) return @intFromEnum(Outcome.empty);
            if (state(c)) |bad| return bad;
            tend(c);
            const before = c.peerGone();
            switch (c.in.transport) {
                inline else => |*t| {
                    if (t.look()) {
                        const window = t.offer_();
                        c.block[Block.read_offset] = window.offset;
                        c.block[Block.read_limit] = window.limit;
                        c.traffic = true;
                        return @intCast(window.limit - window.offset);
                    }
                    if (t.atMarker()) return @intFromEnum(if (c.crossIn(true)) Outcome.moved else Outcome.peer_fault);
                    t.idle();
                },
            }
            return nothing(c, before);
        }

        /// What the peer ordered, and what waits for the kernel, before looking.
        fn tend(c: *Self) void {
            c.attend();
            if (c.pending()) _ = c.pump() else if ((c.out.transport == .stream or c.epochs.old != null) and c.owesRepair()) c.repair();
        }

        /// Surely nothing new and nothing wrong: what a spinning program sees nearly always, told without the rest of refill().
        inline fn quiet(c: *Self) bool {
            switch (c.in.transport) {
                .ring => |*t| return c.attached and c.faulted == fault.none and !c.dead and t.reader.quiet() and
                    c.bell.peer.news() == c.calm and c.out.transport == .ring and c.epochs.old == null,
                .stream, .heap => return false,
            }
        }

        /// Is there something refill() would hand out, or an end it would report?
        pub fn readable(c: *Self) bool {
            if (!c.joiner.complete and quiet(c)) return false;
            if (state(c) != null) return true;
            tend(c);
            const before = c.peerGone();
            switch (c.in.transport) {
                inline else => |*t| {
                    if (c.joiner.complete or t.look() or t.atMarker()) return true;
                    t.idle();
                },
            }
            return nothing(c, before) != @intFromEnum(Outcome.empty);
        }

        fn state(c: *Self) ?i32 {
            if (c.faulted != fault.none) return @intFromEnum(Outcome.peer_fault);
            if (!c.attached) return @intFromEnum(Outcome.bad_argument);
            return null;
        }

        const Gone = enum { no, write_closed, closed, faulted, dead };

        /// Looked at before the records, so that what was committed earlier is found first.
        pub fn peerGone(c: *Self) Gone {
            const seen: control.State = @enumFromInt(@atomicLoad(u32, &c.bell.peer.state, .acquire));
            switch (seen) {
                .open => {},
                .write_closed => {
                    c.block[Block.peer_state] = 1;
                    if (!c.dead) return .write_closed;
                },
                .closed => {
                    c.block[Block.peer_state] = 2;
                    return .closed;
                },
                .faulted => {
                    c.block[Block.peer_state] = 3;
                    return .faulted;
                },
                _ => {
                    c.fail(fault.state);
                    return .no;
                },
            }
            return if (c.dead) .dead else .no;
        }

        /// Nothing new was found: what does that mean, given what was known before looking?
        fn nothing(c: *Self, before: Gone) i32 {
            var wrong: u32 = fault.none;
            var ended = false;
            var hung_up = false;
            var more = false;
            switch (c.in.transport) {
                inline else => |*t| {
                    wrong = t.fault();
                    ended = t.ended();
                    hung_up = t.hungUp();
                    more = t.starved() or t.underWay();
                },
            }
            if (wrong != fault.none) c.fail(wrong);
            if (c.faulted != fault.none) return @intFromEnum(Outcome.peer_fault);
            if (ended) return @intFromEnum(Outcome.ended);
            const streams = c.in.transport == .stream;
            // on a stream the last bytes may still be in the socket when the control region already says closed
            const outcome: Outcome = switch (before) {
                .no => if (hung_up) hungUp(c) else .empty,
                .write_closed, .closed => if (!streams) .ended else if (hung_up) hungUp(c) else .empty,
                .faulted => c.accused(),
                // what a dead peer sent before is still in the socket, or on its way here: first comes what was sent
                .dead => if (more) .empty else .peer_dead,
            };
            if (outcome == .peer_dead or (outcome == .ended and hung_up)) {
                if (c.lastFrames()) return @intFromEnum(Outcome.empty);
                if (c.faulted != fault.none) return @intFromEnum(Outcome.peer_fault);
            }
            if (outcome == .peer_dead) {
                c.block[Block.peer_state] = channels.peer_state_dead;
                switch (c.in.transport) {
                    .ring, .heap => {},
                    .stream => |*t| t.reader.hung_up = true, // so it stays
                }
            }
            return @intFromEnum(outcome);
        }

        /// The kernel closed the path: was it said, did the peer die, or is only the path gone?
        fn hungUp(c: *Self) Outcome {
            return switch (c.peerGone()) {
                .closed => .ended,
                .faulted => c.accused(),
                .dead => .peer_dead,
                else => if (c.reportLoss()) .empty else .peer_dead,
            };
        }

        pub fn accused(c: *Self) Outcome {
            c.block[Block.detail] = @as(*const volatile u32, &c.bell.peer.state_code).*;
            return .peer_fault;
        }

        /// Records handed out, whichever: of a heap they need not be the oldest.
        pub fn giveBack(c: *Self, offset: u32, bytes: u32, messages: u32, payload_bytes: u32) Outcome {
            if (!c.attached) return .bad_argument;
            return switch (c.in.transport) {
                .heap => |*t| if (t.release(.{ .offset = offset, .bytes = bytes }, messages, payload_bytes)) .ok else .bad_argument,
                else => .unsupported,
            };
        }

        pub fn consume(c: *Self, bytes: u32, messages: u32, payload_bytes: u32) Outcome {
            if (!c.attached) return .bad_argument;
            switch (c.in.transport) {
                inline else => |*t| return if (t.consume(bytes, messages, payload_bytes)) .ok else .bad_argument,
            }
        }

        /// One whole message into `out`: its size, or a negative Outcome. Too large: it stays, block[detail] says its size.
        pub fn receive(c: *Self, out: []u8) i32 {
            if (!c.joiner.complete) {
                if (quiet(c)) return @intFromEnum(Outcome.empty);
                if (takeShort(c, out)) |size| return size;
            }
            if (state(c)) |bad| return bad;
            tend(c);
            const before = c.peerGone();
            if (c.joiner.complete) return deliver(c, out, c.joiner.message(), true);
            while (true) {
                if (receiveHere(c, out)) |size| return size;
                const marked = switch (c.in.transport) {
                    inline else => |*t| t.atMarker(),
                };
                if (!marked or !c.crossIn(false)) return nothing(c, before);
            }
        }

        /// The next message of the path in use; null: there is none now.
        fn receiveHere(c: *Self, out: []u8) ?i32 {
            switch (c.in.transport) {
                inline else => |*t| {
                    while (t.peek()) |h| {
                        const part = t.payload(h);
                        switch (h.kind) {
                            .message => {
                                const size = deliver(c, out, part, false);
                                if (size >= 0) t.drop(h);
                                return size;
                            },
                            .first => {
                                // checked when it was scanned, but a trusted peer may have changed its own memory since
                                if (part.len < record.fragment_prefix_bytes) break c.fail(fault.length);
                                const total = @as(*const volatile u32, @ptrCast(@alignCast(part.ptr))).*;
                                if (total > c.options.max_message) break c.fail(fault.length);
                                if (!c.joiner.begin(total)) return c.systemErrno(12);
                                if (!c.joiner.append(part[record.fragment_prefix_bytes..])) break c.fail(fault.fragment);
                            },
                            .more, .last => if (!c.joiner.append(part)) break c.fail(fault.fragment),
                            else => {},
                        }
                        t.drop(h);
                        if (h.kind == .last) {
                            c.joiner.complete = true;
                            return deliver(c, out, c.joiner.message(), true);
                        }
                    }
                },
            }
            return null;
        }

        /// The next message into `out` if it is short and whole: its size, empty, or too_large for everything that refill() is for.
        pub fn take(c: *Self, out: []u8) i32 {
            if (c.joiner.complete) return @intFromEnum(Outcome.too_large);
            if (quiet(c)) return @intFromEnum(Outcome.empty);
            if (takeShort(c, out)) |size| return size;
            switch (c.in.transport) {
                .ring => |*t| if (c.attached and t.reader.consumed == t.reader.offered) t.idle(),
                .stream, .heap => {},
            }
            c.attend();
            return @intFromEnum(if (quiet(c)) Outcome.empty else Outcome.too_large);
        }

        inline fn takeShort(c: *Self, out: []u8) ?i32 {
            switch (c.in.transport) {
                .ring => |*t| {
                    if (!c.attached or c.faulted != fault.none) return null;
                    const size = t.reader.takeShort(out) orelse return null;
                    c.traffic = true;
                    return @intCast(size);
                },
                .stream, .heap => return null,
            }
        }

        fn deliver(c: *Self, out: []u8, message: []const u8, joined: bool) i32 {
            if (message.len > out.len) {
                c.block[Block.detail] = @truncate(message.len);
                return @intFromEnum(Outcome.too_large);
            }
            @memcpy(out[0..message.len], message);
            if (joined) c.joiner.complete = false;
            c.traffic = true;
            switch (c.in.transport) {
                inline else => |*t| t.delivered(@intCast(message.len)),
            }
            return @intCast(message.len);
        }
    };
}
