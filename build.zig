//! Builds everything native. Steps:
//!
//!   zig build            libfable.so for this machine's kind of CPU → zig-out/lib/libfable.so
//!   zig build test       unit tests of the core, run here
//!   zig build arm64      compiles the library for aarch64 → zig-out/arm64/libfable.so
//!   zig build tools      native programs (zig/tools/<name>.zig, zig/sim/main.zig) → zig-out/bin
//!   zig build sim        the simulation alone
//!   zig build bindings   writes src/native/generated.ts from the exports
//!
//! The library links no libc, so that one file per CPU serves glibc and musl. It is built ReleaseSafe: it parses memory that a hostile
//! peer writes, and a bounds or overflow mistake must stop there instead of becoming a wild store; the loops that matter work on
//! pre-checked pointers, where the checks cost nothing measurable. Programs that only measure are built ReleaseFast.
//!
//! Installing never writes into a loaded library: `InstallArtifact` ends in `std.Io.Dir.updateFile`, which makes a temporary file beside
//! the target and renames it over.

const std = @import("std");
const canaries = @import("zig/sim/canaries.zig");

const zig_version = "0.16.0";

comptime {
    if (!std.mem.eql(u8, @import("builtin").zig_version_string, zig_version))
        @compileError("FABLE is built with Zig " ++ zig_version ++ " (npm ci installs it), this is " ++ @import("builtin").zig_version_string);
}

pub fn build(b: *std.Build) void {
    const tests_only = b.option([]const u8, "filter", "Run only the unit tests whose name contains this");

    const native = resolve(b, @import("builtin").cpu.arch);
    const steps = .{
        .@"test" = b.step("test", "Run the unit tests"),
        .arm64 = b.step("arm64", "Compile the library for aarch64"),
        .tools = b.step("tools", "Build the native programs of zig/tools"),
        .sim = b.step("sim", "Build the simulation of reconfiguration"),
        .bindings = b.step("bindings", "Write src/native/generated.ts"),
    };

    const library = addLibrary(b, native);
    b.getInstallStep().dependOn(&b.addInstallArtifact(library, .{}).step);

    steps.arm64.dependOn(&b.addInstallArtifact(addLibrary(b, resolve(b, .aarch64)), .{
        .dest_dir = .{ .override = .{ .custom = "arm64" } },
    }).step);

    addTests(b, native, tests_only, steps.@"test");
    addSimulationTests(b, native, tests_only, steps.@"test");
    addTools(b, native, steps.tools);
    addSimulation(b, native, steps.sim);
    steps.tools.dependOn(steps.sim);
    addBindings(b, native, steps.bindings);
}

/// x86-64 machines of the last fifteen years, any 64-bit ARM; never "native", because the file travels.
fn resolve(b: *std.Build, arch: std.Target.Cpu.Arch) std.Build.ResolvedTarget {
    return b.resolveTargetQuery(.{
        .cpu_arch = arch,
        .os_tag = .linux,
        .abi = .none,
        .cpu_model = switch (arch) {
            .x86_64 => .{ .explicit = &std.Target.x86.cpu.x86_64_v2 },
            else => .baseline,
        },
    });
}

fn addLibrary(b: *std.Build, target: std.Build.ResolvedTarget) *std.Build.Step.Compile {
    return b.addLibrary(.{
        .name = "fable",
        .linkage = .dynamic,
        .root_module = b.createModule(.{
            .root_source_file = b.path("zig/lib.zig"),
            .target = target,
            .optimize = .ReleaseSafe,
            .strip = true,
            .link_libc = false,
            .unwind_tables = .none,
            .omit_frame_pointer = true,
            .imports = &.{headerImport(b)},
        }),
    });
}

/// `@embedFile("fable.h")`: the contract, read by the header check and the generator.
fn headerImport(b: *std.Build) std.Build.Module.Import {
    return .{ .name = "fable.h", .module = b.createModule(.{ .root_source_file = b.path("include/fable.h") }) };
}

fn addTests(b: *std.Build, target: std.Build.ResolvedTarget, filter: ?[]const u8, step: *std.Build.Step) void {
    const module = b.createModule(.{
        .root_source_file = b.path("zig/lib.zig"),
        .target = target,
        .optimize = .ReleaseSafe,
        .imports = &.{headerImport(b)},
    });
    const unit = b.addTest(.{ .root_module = module, .filters = if (filter) |one| b.dupeStrings(&.{one}) else &.{} });
    const run = b.addRunArtifact(unit);
    run.has_side_effects = true; // they talk to the kernel: a cached success proves nothing
    step.dependOn(&run.step);
}

/// Programs that use the core in process: `@import("fable")` is zig/lib.zig.
fn addTools(b: *std.Build, target: std.Build.ResolvedTarget, step: *std.Build.Step) void {
    const io = b.graph.io;
    inline for (.{ "bench", "fuzz" }) |name| {
        const path = "zig/tools/" ++ name ++ ".zig";
        if (b.build_root.handle.access(io, path, .{})) |_| {
            const program = b.addExecutable(.{
                .name = "fable-" ++ name,
                // The fuzzer is built as the library is, so that it meets the same checks.
                .root_module = toolModule(b, target, path, if (comptime std.mem.eql(u8, name, "fuzz")) .ReleaseSafe else .ReleaseFast),
            });
            step.dependOn(&b.addInstallArtifact(program, .{}).step);
        } else |_| {}
    }
}

/// The core as it is on a simulated kernel.
fn addSimulation(b: *std.Build, target: std.Build.ResolvedTarget, step: *std.Build.Step) void {
    const simulation = b.addExecutable(.{ .name = "fable-sim", .root_module = simulationModule(b, target, "zig/sim/main.zig", b.path("zig/lib.zig")) });
    step.dependOn(&b.addInstallArtifact(simulation, .{}).step);
    const planted = b.addExecutable(.{ .name = "fable-sim-canaries", .root_module = simulationModule(b, target, "zig/sim/main.zig", plant(b)) });
    step.dependOn(&b.addInstallArtifact(planted, .{}).step);
}

fn simulationModule(b: *std.Build, target: std.Build.ResolvedTarget, root: []const u8, library: std.Build.LazyPath) *std.Build.Module {
    const planted = b.createModule(.{ .root_source_file = b.path("zig/sim/canaries.zig") });
    const fable = b.createModule(.{
        .root_source_file = library,
        .target = target,
        .optimize = .ReleaseSafe,
        .imports = &.{ headerImport(b), .{ .name = "canaries", .module = planted } },
    });
    return b.createModule(.{
        .root_source_file = b.path(root),
        .target = target,
        .optimize = .ReleaseSafe,
        .imports = &.{ .{ .name = "fable", .module = fable }, .{ .name = "canaries", .module = planted } },
    });
}

/// A copy of the library with the bugs of zig/sim/canaries.zig in it, each behind a switch.
fn plant(b: *std.Build) std.Build.LazyPath {
    const copy = b.addWriteFiles();
    inline for (.{ "abi", "layout", "sys" }) |folder| _ = copy.addCopyDirectory(b.path("zig/" ++ folder), folder, .{});
    const io = b.graph.io;
    var core = b.build_root.handle.openDir(io, "zig/core", .{ .iterate = true }) catch @panic("zig/core cannot be read");
    defer core.close(io);
    var files = core.iterate();
    while (files.next(io) catch @panic("zig/core cannot be listed")) |file| {
        if (file.kind != .file) continue;
        var text: []const u8 = core.readFileAlloc(io, file.name, b.allocator, .limited(1 << 20)) catch @panic("a file of zig/core cannot be read");
        for (canaries.all) |canary| {
            if (!std.mem.eql(u8, canary.file, file.name)) continue;
            if (std.mem.count(u8, text, canary.from) != 1) std.debug.panic("canary {s}: what it replaces is not once in {s}", .{ @tagName(canary.name), file.name });
            text = std.mem.replaceOwned(u8, b.allocator, text, canary.from, canary.to) catch @panic("out of memory");
        }
        _ = copy.add(b.fmt("core/{s}", .{file.name}), text);
    }
    return copy.addCopyFile(b.path("zig/lib.zig"), "lib.zig");
}

fn addSimulationTests(b: *std.Build, target: std.Build.ResolvedTarget, filter: ?[]const u8, step: *std.Build.Step) void {
    const simulated = b.addTest(.{
        .root_module = simulationModule(b, target, "zig/sim/sim_test.zig", b.path("zig/lib.zig")),
        .filters = if (filter) |one| b.dupeStrings(&.{one}) else &.{},
    });
    step.dependOn(&b.addRunArtifact(simulated).step);
}

fn addBindings(b: *std.Build, target: std.Build.ResolvedTarget, step: *std.Build.Step) void {
    const generate = b.addExecutable(.{
        .name = "generate",
        .root_module = toolModule(b, target, "zig/tools/generate.zig", .ReleaseSafe),
    });
    const run = b.addRunArtifact(generate);
    const output = run.addOutputFileArg("generated.ts");
    const copy = b.addUpdateSourceFiles();
    copy.addCopyFileToSource(output, "src/native/generated.ts");
    step.dependOn(&copy.step);
}

fn toolModule(b: *std.Build, target: std.Build.ResolvedTarget, path: []const u8, optimize: std.builtin.OptimizeMode) *std.Build.Module {
    const fable = b.createModule(.{
        .root_source_file = b.path("zig/lib.zig"),
        .target = target,
        .optimize = optimize,
        .imports = &.{headerImport(b)},
    });
    return b.createModule(.{
        .root_source_file = b.path(path),
        .target = target,
        .optimize = optimize,
        .imports = &.{.{ .name = "fable", .module = fable }},
    });
}
