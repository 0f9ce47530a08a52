//! Reads include/fable.h: its constants for the TypeScript bindings, and its functions for the test that the exports are those, no more,
//! no less, with the same parameters.

const std = @import("std");
const text = @embedFile("fable.h");

pub const Constant = struct { name: []const u8, value: []const u8, comment: []const u8 };

/// The `#define FABLE_X value` lines, names without the prefix.
pub const Constants = struct {
    lines: std.mem.SplitIterator(u8, .scalar),

    pub fn next(c: *Constants) ?Constant {
        while (c.lines.next()) |line| {
            const rest = cut(line, "#define FABLE_") orelse continue;
            const space = std.mem.indexOfScalar(u8, rest, ' ') orelse continue;
            const after = std.mem.trim(u8, rest[space..], " ");
            const end = std.mem.indexOfAny(u8, after, " \t") orelse after.len;
            var comment: []const u8 = "";
            if (std.mem.indexOf(u8, after, "/*")) |open| {
                if (std.mem.indexOf(u8, after, "*/")) |close| comment = std.mem.trim(u8, after[open + 2 .. close], " ");
            }
            return .{ .name = rest[0..space], .value = std.mem.trimEnd(u8, after[0..end], "u"), .comment = comment };
        }
        return null;
    }
};

pub fn constants() Constants {
    return .{ .lines = std.mem.splitScalar(u8, text, '\n') };
}

fn cut(line: []const u8, prefix: []const u8) ?[]const u8 {
    return if (std.mem.startsWith(u8, line, prefix)) line[prefix.len..] else null;
}

/// The declared parameters of `name`, without names: "u32,*,i32" and so on; null if the header has no such function.
pub fn parameters(allocator: std.mem.Allocator, name: []const u8) !?[]const u8 {
    const start = (try declaration(allocator, name)) orelse return null;
    const close = std.mem.indexOf(u8, start, ");") orelse return error.Unterminated;
    var out: std.ArrayList(u8) = .empty;
    var parts = std.mem.splitScalar(u8, start[0..close], ',');
    while (parts.next()) |part| {
        if (out.items.len > 0) try out.append(allocator, ',');
        try out.appendSlice(allocator, shortType(std.mem.trim(u8, part, " \n")));
    }
    return out.items;
}

const results = [_][]const u8{ "int32_t ", "uint32_t ", "uint64_t ", "void *" };

/// What follows "name(" in its declaration.
fn declaration(allocator: std.mem.Allocator, name: []const u8) !?[]const u8 {
    const call = try std.fmt.allocPrint(allocator, "{s}(", .{name});
    var at: usize = 0;
    while (std.mem.indexOfPos(u8, text, at, call)) |found| : (at = found + 1) {
        const line_start = if (std.mem.lastIndexOfScalar(u8, text[0..found], '\n')) |newline| newline + 1 else 0;
        for (results) |result| if (std.mem.eql(u8, text[line_start..found], result)) return text[found + call.len ..];
    }
    return null;
}

fn shortType(parameter: []const u8) []const u8 {
    if (std.mem.eql(u8, parameter, "void")) return "";
    if (std.mem.indexOfAny(u8, parameter, "*[") != null) return "*";
    if (cut(parameter, "uint32_t ") != null) return "u32";
    if (cut(parameter, "int32_t ") != null) return "i32";
    if (cut(parameter, "uint64_t ") != null) return "u64";
    return parameter;
}

/// How many functions the header declares.
pub fn functionCount() usize {
    var count: usize = 0;
    var lines = std.mem.splitScalar(u8, text, '\n');
    while (lines.next()) |line| {
        for (results) |result| {
            if (cut(cut(line, result) orelse continue, "fable_") != null) count += 1;
        }
    }
    return count;
}

fn zigParameters(comptime F: type) []const u8 {
    @setEvalBranchQuota(10_000);
    comptime {
        var out: []const u8 = "";
        for (@typeInfo(F).@"fn".params, 0..) |parameter, i| {
            out = out ++ (if (i == 0) "" else ",") ++ switch (@typeInfo(parameter.type.?)) {
                .int => @typeName(parameter.type.?),
                else => "*",
            };
        }
        return out;
    }
}

test "the header declares exactly what is exported" {
    var arena: std.heap.ArenaAllocator = .init(std.testing.allocator);
    defer arena.deinit();
    var count: usize = 0;
    inline for (@import("../lib.zig").exported) |file| {
        inline for (comptime std.meta.declarations(file)) |decl| {
            if (comptime std.mem.startsWith(u8, decl.name, "fable_")) {
                count += 1;
                const declared = (try parameters(arena.allocator(), decl.name)) orelse {
                    std.debug.print("{s} is not in fable.h\n", .{decl.name});
                    return error.NotDeclared;
                };
                std.testing.expectEqualStrings(comptime zigParameters(@TypeOf(@field(file, decl.name))), declared) catch |err| {
                    std.debug.print("in {s}\n", .{decl.name});
                    return err;
                };
            }
        }
    }
    try std.testing.expectEqual(functionCount(), count);
}

test "the constants are those of the header" {
    const status = @import("status.zig");
    const core = @import("../core/channel.zig");
    var all = constants();
    var seen: usize = 0;
    while (all.next()) |constant| {
        const value: i64 = try std.fmt.parseInt(i64, constant.value, 0);
        inline for (comptime std.meta.declarations(status)) |decl| {
            if (@TypeOf(@field(status, decl.name)) == i32 and std.mem.eql(u8, decl.name, constant.name)) {
                try std.testing.expectEqual(value, @field(status, decl.name));
                seen += 1;
            }
        }
        inline for (comptime std.meta.declarations(core.Block)) |decl| {
            var name: [64]u8 = undefined;
            const full = try std.fmt.bufPrint(&name, "BLOCK_{s}", .{decl.name});
            if (std.ascii.eqlIgnoreCase(full, constant.name)) {
                try std.testing.expectEqual(value, @field(core.Block, decl.name));
                seen += 1;
            }
        }
        inline for (@typeInfo(core.Kind).@"enum".fields) |field| {
            var name: [64]u8 = undefined;
            const full = try std.fmt.bufPrint(&name, "TRANSPORT_{s}", .{field.name});
            if (std.ascii.eqlIgnoreCase(full, constant.name)) {
                try std.testing.expectEqual(value, field.value);
                seen += 1;
            }
        }
        inline for (@typeInfo(@import("../core/epochs.zig").What).@"enum".fields) |field| {
            var name: [64]u8 = undefined;
            const full = try std.fmt.bufPrint(&name, "SWITCH_{s}", .{field.name});
            if (std.ascii.eqlIgnoreCase(full, constant.name)) {
                try std.testing.expectEqual(value, field.value);
                seen += 1;
            }
        }
        inline for (@typeInfo(@import("../layout/record.zig").Kind).@"enum".fields) |field| {
            var name: [64]u8 = undefined;
            const full = try std.fmt.bufPrint(&name, "RECORD_{s}", .{field.name});
            if (std.ascii.eqlIgnoreCase(full, constant.name)) {
                try std.testing.expectEqual(value, field.value);
                seen += 1;
            }
        }
        if (std.mem.eql(u8, constant.name, "MIN_STREAM_BYTES")) {
            try std.testing.expectEqual(value, @import("../core/epochs_out.zig").min_stream_bytes);
            seen += 1;
        }
        inline for (comptime std.meta.declarations(@import("../core/fault.zig"))) |decl| {
            var name: [64]u8 = undefined;
            const full = try std.fmt.bufPrint(&name, "FAULT_{s}", .{decl.name});
            if (std.ascii.eqlIgnoreCase(full, constant.name)) {
                try std.testing.expectEqual(value, @field(@import("../core/fault.zig"), decl.name));
                seen += 1;
            }
        }
    }
    try std.testing.expectEqual(@as(usize, 21 + 15 + 9 + 5 + 7 + 6 + 1), seen);
}

test "the structs have the sizes of the header" {
    const abi = @import("channel.zig");
    try std.testing.expectEqual(64, @sizeOf(abi.ChannelOptions));
    try std.testing.expectEqual(48, @sizeOf(abi.Peer));
    try std.testing.expectEqual(96, @sizeOf(abi.Stats));
    try std.testing.expectEqual(16, @sizeOf(@import("../core/wait.zig").Entry));
}
