//! The transports, one face. `Ring` shares memory with the peer; `Stream` passes through a kernel socket. channel.zig holds one of them
//! in a tagged union; `check` proves at compile time that each has every operation, with the same parameters and result.

const std = @import("std");
const record = @import("../layout/record.zig");
const control = @import("../layout/control.zig");
const Writer = @import("record_writer.zig").Writer;
const Reader = @import("record_reader.zig").Reader;
const stream = @import("stream.zig");
const Header = record.Header;

/// Where a window lies in the read arena.
pub const Window = struct { offset: u32, limit: u32 };

fn offer(reader: anytype) Window {
    const offset = @as(u32, @truncate(reader.offered)) & reader.mask;
    const window: Window = .{ .offset = offset, .limit = offset + @as(u32, @truncate(reader.scanned -% reader.offered)) };
    reader.offered = reader.scanned;
    return window;
}

pub const Ring = struct {
    writer: Writer,
    reader: Reader,

    /// Looks for new records. True: offer() has some.
    pub fn look(t: *Ring) bool {
        return t.reader.scan();
    }
    /// Hands out the new records.
    pub fn offer_(t: *Ring) Window {
        return offer(&t.reader);
    }
    pub fn peek(t: *Ring) ?Header {
        return t.reader.peek();
    }
    pub fn payload(t: *Ring, h: Header) []const u8 {
        return t.reader.payload(h);
    }
    /// Takes the record that peek() showed and gives it back at once.
    pub fn drop(t: *Ring, h: Header) void {
        t.reader.take(h);
        t.reader.release();
    }
    pub fn consume(t: *Ring, bytes: u32, messages: u32, payload_bytes: u32) bool {
        return t.reader.consume(bytes, messages, payload_bytes);
    }
    /// Nothing to read, or about to sleep.
    pub fn idle(t: *Ring) void {
        t.reader.idle();
    }
    pub fn delivered(t: *Ring, size: u32) void {
        t.reader.messages +%= 1;
        t.reader.bytes +%= size;
    }
    pub fn publish(t: *Ring, bytes: u32, first: Header, messages: u32, payload_bytes: u32) bool {
        if (!t.writer.publishBatch(bytes, first, messages, payload_bytes, false)) return false;
        t.writer.bell.notify(control.sleep_data);
        return true;
    }
    pub fn send(t: *Ring, message: []const u8) Writer.Sent {
        return t.writer.send(message, t, flush);
    }
    fn flush(t: *Ring) void {
        t.writer.flush();
    }
    pub fn end(t: *Ring) void {
        t.writer.flush();
        t.writer.end();
    }
    /// Bytes published and not yet on their way.
    pub fn pump(_: *Ring) u32 {
        return 0;
    }
    pub fn pending(_: *const Ring) bool {
        return false;
    }
    pub fn fault(t: *const Ring) u32 {
        return if (t.reader.fault != 0) t.reader.fault else t.writer.fault;
    }
    pub fn ended(t: *const Ring) bool {
        return t.reader.ended;
    }
    pub fn hungUp(_: *const Ring) bool {
        return false;
    }
    /// More may have come than there is memory for here.
    pub fn starved(_: *const Ring) bool {
        return false;
    }
};

pub fn Stream(comptime Sys: type) type {
    return struct {
        const Self = @This();

        writer: Writer,
        reader: stream.StreamReader,
        socket: i32 = -1,
        /// What has left the write arena: the writer's `released`.
        sent: u64 = 0,
        /// Sending failed for good.
        broken: bool = false,

        pub fn look(t: *Self) bool {
            if (t.pending()) _ = t.pump();
            if (t.reader.scan()) return true;
            var came = false;
            while (t.socket >= 0 and t.reader.fill(t.socket, Sys)) {
                came = true;
                if (t.reader.scan() or t.reader.hung_up) break;
            }
            if (came) t.reader.bell.notify(control.sleep_space);
            return t.reader.scan();
        }
        pub fn offer_(t: *Self) Window {
            return offer(&t.reader);
        }
        pub fn peek(t: *Self) ?Header {
            if (!t.look()) {
                t.reader.idle();
                return null;
            }
            return t.reader.peek();
        }
        pub fn payload(t: *Self, h: Header) []const u8 {
            return t.reader.payload(h);
        }
        pub fn drop(t: *Self, h: Header) void {
            t.reader.take(h);
            t.reader.release();
        }
        pub fn consume(t: *Self, bytes: u32, messages: u32, payload_bytes: u32) bool {
            return t.reader.consume(bytes, messages, payload_bytes);
        }
        pub fn idle(t: *Self) void {
            t.reader.idle();
        }
        pub fn delivered(t: *Self, size: u32) void {
            t.reader.messages +%= 1;
            t.reader.bytes +%= size;
        }
        pub fn publish(t: *Self, bytes: u32, first: Header, messages: u32, payload_bytes: u32) bool {
            if (!t.writer.publishBatch(bytes, first, messages, payload_bytes, true)) return false;
            _ = t.pump();
            return true;
        }
        pub fn send(t: *Self, message: []const u8) Writer.Sent {
            return t.writer.send(message, t, flush);
        }
        fn flush(t: *Self) void {
            t.writer.publishQuietly();
            _ = t.pump();
        }
        pub fn end(t: *Self) void {
            t.writer.publishQuietly();
            t.writer.end();
            _ = t.pump();
        }
        pub fn pump(t: *Self) u32 {
            if (t.socket < 0 or t.broken) return @truncate(t.writer.published -% t.sent);
            var moved = false;
            if (stream.pump(&t.writer, &t.sent, t.socket, Sys, &moved) == .hung_up) t.broken = true;
            if (moved) t.writer.bell.notify(control.sleep_data);
            return @truncate(t.writer.published -% t.sent);
        }
        pub fn pending(t: *const Self) bool {
            return t.sent != t.writer.published and !t.broken;
        }
        pub fn fault(t: *const Self) u32 {
            return if (t.reader.fault != 0) t.reader.fault else t.writer.fault;
        }
        pub fn ended(t: *const Self) bool {
            return t.reader.ended;
        }
        pub fn hungUp(t: *const Self) bool {
            return t.reader.hung_up;
        }
        pub fn starved(t: *const Self) bool {
            return t.reader.starved;
        }
    };
}

/// Every public operation of each type exists in all of them with the same signature, `self` aside.
pub fn check(comptime types: []const type) void {
    const first = types[0];
    for (types[1..]) |other| {
        for (@typeInfo(first).@"struct".decls) |decl| same(first, other, decl.name);
        for (@typeInfo(other).@"struct".decls) |decl| same(other, first, decl.name);
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
