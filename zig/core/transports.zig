//! The transports of one direction, one face for each half: rings share memory with the peer, streams pass through the kernel.
//! channel.zig holds them in tagged unions; `check` proves at compile time that each has every operation, with the same parameters and
//! result.

const std = @import("std");
const control = @import("../layout/control.zig");
const Writer = @import("record_writer.zig").Writer;
const Reader = @import("record_reader.zig").Reader;
const stream = @import("stream.zig");
const Header = @import("../layout/record.zig").Header;

/// Where a window lies in the read arena.
pub const Window = struct { offset: u32, limit: u32 };

pub fn offer(reader: anytype) Window {
    const offset = @as(u32, @truncate(reader.offered)) & reader.mask;
    const window: Window = .{ .offset = offset, .limit = offset + @as(u32, @truncate(reader.scanned -% reader.offered)) };
    reader.offered = reader.scanned;
    return window;
}

pub const RingOut = struct {
    writer: Writer,

    pub fn publish(t: *RingOut, bytes: u32, first: Header, messages: u32, payload_bytes: u32) bool {
        if (!t.writer.publishBatch(bytes, first, messages, payload_bytes, false)) return false;
        t.writer.bell.notify(control.sleep_data);
        return true;
    }
    pub fn send(t: *RingOut, message: []const u8) Writer.Sent {
        return t.writer.send(message, t, flush);
    }
    pub fn flush(t: *RingOut) void {
        t.writer.flush();
    }
    pub fn end(t: *RingOut) void {
        t.writer.flush();
        t.writer.end();
    }
    /// Hand-over to the next path: nothing is written here afterwards.
    pub fn marker(t: *RingOut) void {
        t.writer.flush();
        t.writer.marker();
        t.writer.bell.notify(control.sleep_data);
    }
    /// Bytes published and not yet on their way.
    pub fn pump(_: *RingOut) u32 {
        return 0;
    }
    pub fn pending(_: *const RingOut) bool {
        return false;
    }
    /// The path is gone, and what it did not deliver with it.
    pub fn broken(_: *const RingOut) bool {
        return false;
    }
    pub fn fault(t: *const RingOut) u32 {
        return t.writer.fault;
    }
    /// Before looking at the space: what else tells about it.
    pub fn acknowledge(_: *RingOut) void {}
    /// Everything that left this end has arrived at the other.
    pub fn arrived(_: *const RingOut) bool {
        return true;
    }
    /// There may be more room than at the last look: a guess, without a system call.
    pub fn stirred(_: *const RingOut) bool {
        return true;
    }
    pub fn close(_: *RingOut) void {}
};

pub const RingIn = struct {
    reader: Reader,

    /// Looks for new records. True: offer() has some.
    pub fn look(t: *RingIn) bool {
        return t.reader.scan();
    }
    /// Hands out the new records.
    pub fn offer_(t: *RingIn) Window {
        return offer(&t.reader);
    }
    pub fn peek(t: *RingIn) ?Header {
        return t.reader.peek();
    }
    pub fn payload(t: *RingIn, h: Header) []const u8 {
        return t.reader.payload(h);
    }
    /// Takes the record that peek() showed and gives it back at once.
    pub fn drop(t: *RingIn, h: Header) void {
        t.reader.take(h);
        t.reader.release();
    }
    pub fn consume(t: *RingIn, bytes: u32, messages: u32, payload_bytes: u32) bool {
        return t.reader.consume(bytes, messages, payload_bytes);
    }
    /// Nothing to read, or about to sleep.
    pub fn idle(t: *RingIn) void {
        t.reader.idle();
    }
    pub fn delivered(t: *RingIn, size: u32) void {
        t.reader.messages +%= 1;
        t.reader.bytes +%= size;
    }
    pub fn fault(t: *const RingIn) u32 {
        return t.reader.fault;
    }
    pub fn ended(t: *const RingIn) bool {
        return t.reader.ended;
    }
    /// Everything before the marker was handed out.
    pub fn atMarker(t: *const RingIn) bool {
        return t.reader.at_marker and t.reader.offered == t.reader.scanned;
    }
    pub fn hungUp(_: *const RingIn) bool {
        return false;
    }
    /// More may have come than there is memory for here.
    pub fn starved(_: *const RingIn) bool {
        return false;
    }
    /// On its way to this end without anybody ringing again.
    pub fn underWay(_: *const RingIn) bool {
        return false;
    }
    /// There may be something new: a guess, without a system call.
    pub fn stirred(_: *const RingIn) bool {
        return true;
    }
    /// The writer learns what is here.
    pub fn tell(_: *RingIn) void {}
    pub fn close(_: *RingIn) void {}
};

/// Every public operation of the first type exists in all of them with the same signature, `self` aside. What others have beyond is how
/// they are made.
pub fn check(comptime types: []const type) void {
    const first = types[0];
    for (types[1..]) |other| {
        for (@typeInfo(first).@"struct".decls) |decl| same(first, other, decl.name);
    }
}

fn same(comptime a: type, comptime b: type, comptime name: []const u8) void {
    if (!@hasDecl(b, name)) @compileError("transport " ++ @typeName(b) ++ " lacks " ++ name);
    const left = @typeInfo(@TypeOf(@field(a, name))).@"fn";
    const right = @typeInfo(@TypeOf(@field(b, name))).@"fn";
    const differ = left.params.len != right.params.len or left.return_type != right.return_type;
    if (differ) @compileError("transport operation differs: " ++ name);
    for (left.params[1..], right.params[1..]) |l, r| {
        if (l.type != r.type) @compileError("transport operation differs: " ++ name);
    }
}
