//! Writes src/native/generated.ts: the signatures of every exported function, by reflection over them, and the constants of
//! include/fable.h, by reading it. `zig build bindings` runs it; a test compares the committed file with what it writes.

const std = @import("std");
const fable = @import("fable");

pub fn main(init: std.process.Init) !void {
    const gpa = init.arena.allocator();
    const arguments = try init.minimal.args.toSlice(gpa);
    if (arguments.len != 2) return error.Usage;
    var text: std.Io.Writer.Allocating = .init(gpa);
    try write(&text.writer);
    try std.Io.Dir.cwd().writeFile(init.io, .{ .sub_path = arguments[1], .data = text.written() });
}

fn write(out: *std.Io.Writer) !void {
    try out.writeAll(
        \\/**
        \\ * The words of include/fable.h and the signatures of libfable.so. Written by `zig build bindings`: do not edit.
        \\ */
        \\
        \\
    );
    try writeConstants(out);
    try writeStructs(out);
    try out.writeAll("/** Every function of libfable.so, without its prefix. */\nexport const signatures = {\n");
    inline for (fable.exported) |file| {
        inline for (comptime std.meta.declarations(file)) |decl| {
            if (comptime std.mem.startsWith(u8, decl.name, "fable_")) try writeSignature(out, decl.name["fable_".len..], @TypeOf(@field(file, decl.name)));
        }
    }
    try out.writeAll("} as const;\n");
}

fn writeConstants(out: *std.Io.Writer) !void {
    var constants = fable.header_text.constants();
    while (constants.next()) |constant| {
        if (constant.comment.len > 0) {
            try out.writeAll("/**");
            var words = std.mem.tokenizeScalar(u8, constant.comment, ' ');
            while (words.next()) |word| try out.print(" {s}", .{word});
            try out.writeAll(" */\n");
        }
        try out.print("export const {s} = {s};\n", .{ constant.name, constant.value });
    }
    try out.writeAll("\n");
}

/// Structs are passed as Uint32Array: the index of each word, and how many words there are.
fn writeStructs(out: *std.Io.Writer) !void {
    @setEvalBranchQuota(10_000);
    inline for (.{
        .{ "CHANNEL_OPTIONS", fable.abi.ChannelOptions },
        .{ "PEER", fable.abi.Peer },
        .{ "SWITCH_EVENT", fable.abi.SwitchEvent },
        .{ "WAIT_ENTRY", fable.abi.WaitEntry },
    }) |entry| {
        try out.print("/** Words of fable_{s}, a Uint32Array. */\n", .{comptime lower(entry[0])});
        inline for (@typeInfo(entry[1]).@"struct".fields) |field| {
            if (comptime !std.mem.eql(u8, field.name, "reserved"))
                try out.print("export const {s}_{s} = {d};\n", .{ entry[0], comptime upper(field.name), @offsetOf(entry[1], field.name) / 4 });
        }
        try out.print("export const {s}_WORDS = {d};\n\n", .{ entry[0], @sizeOf(entry[1]) / 4 });
    }
}

fn writeSignature(out: *std.Io.Writer, comptime name: []const u8, comptime F: type) !void {
    const info = @typeInfo(F).@"fn";
    try out.print("  {s}: {{ parameters: [", .{name});
    inline for (info.params, 0..) |parameter, i| try out.print("{s}\"{s}\"", .{ if (i == 0) "" else ", ", comptime parameterType(parameter.type.?) });
    try out.print("], result: \"{s}\" }},\n", .{comptime resultType(info.return_type.?)});
}

fn parameterType(comptime T: type) []const u8 {
    return switch (@typeInfo(T)) {
        .int => integerType(T),
        .optional, .pointer => "buffer",
        else => @compileError("a parameter of this type has no TypeScript form: " ++ @typeName(T)),
    };
}

fn resultType(comptime T: type) []const u8 {
    return switch (@typeInfo(T)) {
        .int => integerType(T),
        .optional, .pointer => "pointer",
        .void => "void",
        else => @compileError("a result of this type has no TypeScript form: " ++ @typeName(T)),
    };
}

fn integerType(comptime T: type) []const u8 {
    return switch (T) {
        u32 => "u32",
        i32 => "i32",
        u64 => "u64",
        else => @compileError("only u32, i32 and u64 cross to TypeScript, not " ++ @typeName(T)),
    };
}

fn upper(comptime name: []const u8) *const [name.len]u8 {
    comptime {
        var out: [name.len]u8 = undefined;
        for (name, &out) |from, *to| to.* = std.ascii.toUpper(from);
        const result = out;
        return &result;
    }
}

fn lower(comptime name: []const u8) *const [name.len]u8 {
    comptime {
        var out: [name.len]u8 = undefined;
        for (name, &out) |from, *to| to.* = std.ascii.toLower(from);
        const result = out;
        return &result;
    }
}
