//! Threads inside somebody else's process. Only the host's libc may make them there (they need its thread-local storage), so a shared
//! library takes `pthread_create` from whoever loaded it, weakly: without one there are no threads and everything else still works. In
//! programs of our own (tests, tools) it is std.Thread.

const std = @import("std");
const builtin = @import("builtin");
const linux = std.os.linux;
const os = @import("os.zig");

pub const hosted = builtin.output_mode == .Lib;

const Entry = *const fn (?*anyopaque) callconv(.c) ?*anyopaque;
const Attributes = extern struct { opaque_words: [16]usize align(16) };

const Pthread = struct {
    create: ?*const fn (*usize, ?*const Attributes, Entry, ?*anyopaque) callconv(.c) c_int,
    join: ?*const fn (usize, ?*?*anyopaque) callconv(.c) c_int,
    detach: ?*const fn (usize) callconv(.c) c_int,
    attr_init: ?*const fn (*Attributes) callconv(.c) c_int,
    attr_setstacksize: ?*const fn (*Attributes, usize) callconv(.c) c_int,
    attr_destroy: ?*const fn (*Attributes) callconv(.c) c_int,
    key_create: ?*const fn (*c_uint, *const fn (?*anyopaque) callconv(.c) void) callconv(.c) c_int,
    setspecific: ?*const fn (c_uint, ?*const anyopaque) callconv(.c) c_int,
    dladdr: ?*const fn (*const anyopaque, *Info) callconv(.c) c_int,
    dlopen: ?*const fn ([*:0]const u8, c_int) callconv(.c) ?*anyopaque,
};

const Info = extern struct { file_name: ?[*:0]const u8, base: ?*anyopaque, symbol_name: ?[*:0]const u8, symbol: ?*anyopaque };

fn weak(comptime field: std.meta.FieldEnum(Pthread), comptime name: []const u8) @FieldType(Pthread, @tagName(field)) {
    return @extern(@FieldType(Pthread, @tagName(field)), .{ .name = name, .linkage = .weak });
}

/// Filled by the dynamic linker, null where the host has none. A variable, read as volatile: the compiler believes that a function whose
/// address it names exists.
var resolved: Pthread = .{
    .create = weak(.create, "pthread_create"),
    .join = weak(.join, "pthread_join"),
    .detach = weak(.detach, "pthread_detach"),
    .attr_init = weak(.attr_init, "pthread_attr_init"),
    .attr_setstacksize = weak(.attr_setstacksize, "pthread_attr_setstacksize"),
    .attr_destroy = weak(.attr_destroy, "pthread_attr_destroy"),
    .key_create = weak(.key_create, "pthread_key_create"),
    .setspecific = weak(.setspecific, "pthread_setspecific"),
    .dladdr = weak(.dladdr, "dladdr"),
    .dlopen = weak(.dlopen, "dlopen"),
};

fn host() *volatile Pthread {
    return &resolved;
}

/// Enough for us; glibc takes the host's static thread-local storage from it too.
const stack_bytes = 256 << 10;

pub const Thread = struct {
    id: if (hosted) usize else std.Thread,

    /// Runs `entry(context)` with every signal of the host blocked. Null when the host has no threads or no room for one more.
    pub fn start(entry: Entry, context: ?*anyopaque) ?Thread {
        var before: linux.sigset_t = undefined;
        const blocked = blockable();
        _ = linux.sigprocmask(linux.SIG.SETMASK, &blocked, &before); // the new thread inherits it
        defer _ = linux.sigprocmask(linux.SIG.SETMASK, &before, null);
        if (!hosted) return .{ .id = std.Thread.spawn(.{ .stack_size = stack_bytes }, run, .{ entry, context }) catch return null };
        return .{ .id = create(entry, context) orelse return null };
    }

    pub fn join(thread: Thread) void {
        if (!hosted) return thread.id.join();
        if (host().join) |function| _ = function(thread.id, null);
    }

    pub fn detach(thread: Thread) void {
        if (!hosted) return thread.id.detach();
        if (host().detach) |function| _ = function(thread.id);
    }
};

fn run(entry: Entry, context: ?*anyopaque) void {
    _ = entry(context);
}

fn create(entry: Entry, context: ?*anyopaque) ?usize {
    const make = host().create orelse return null;
    const destroy = host().attr_destroy;
    var id: usize = 0;
    if (host().attr_init) |init| {
        var attributes: Attributes = undefined;
        if (init(&attributes) == 0) {
            defer if (destroy) |end| {
                _ = end(&attributes);
            };
            if (host().attr_setstacksize) |set| _ = set(&attributes, stack_bytes);
            if (make(&id, &attributes, entry, context) == 0) return id;
        }
    }
    return if (make(&id, null, entry, context) == 0) id else null;
}

/// All signals but those libc itself sends to its threads (glibc 32 and 33, musl up to 34): setuid() waits for every thread to answer them.
fn blockable() linux.sigset_t {
    var set = linux.sigfillset();
    for (32..35) |signal| set[0] &= ~(@as(@TypeOf(set[0]), 1) << @intCast(signal - 1));
    return set;
}

/// From here on dlclose() leaves the library where it is: a thread that never ends runs in it.
pub fn keepLoaded() void {
    if (!hosted) return;
    const lazy = 1;
    const no_load = 4;
    const no_delete = 0x1000;
    const locate = host().dladdr orelse return;
    const open = host().dlopen orelse return;
    var info: Info = undefined;
    if (locate(&keepLoaded, &info) == 0) return;
    if (info.file_name) |name| _ = open(name, lazy | no_load | no_delete);
}

/// Calls `ended` on each of the host's threads that asked for it with watch(), when that thread ends, however it ends. The main thread's end
/// is the end of the process, and no reason for a call. Without the host's libc nothing is called.
pub fn End(comptime ended: fn () void) type {
    return struct {
        var key: c_uint = 0;
        /// 0: no key yet, 1: one is being made, 2: made, 3: there is none.
        var made: std.atomic.Value(u32) = .init(0);

        pub fn watch() void {
            if (!hosted) return;
            if (made.load(.acquire) < 2) make();
            if (made.load(.acquire) != 2) return;
            if (host().setspecific) |set| _ = set(key, &key); // anything but null
        }

        fn make() void {
            if (made.cmpxchgStrong(0, 1, .acquire, .acquire) != null) {
                while (made.load(.acquire) == 1) std.atomic.spinLoopHint();
                return;
            }
            const create_key = host().key_create;
            const works = if (create_key) |function| function(&key, atEnd) == 0 else false;
            if (works) keepLoaded();
            made.store(if (works) 2 else 3, .release);
        }

        fn atEnd(_: ?*anyopaque) callconv(.c) void {
            ended();
        }
    };
}

test "a thread runs with signals blocked and is joined" {
    const Seen = struct {
        mask: linux.sigset_t,
        fn look(context: ?*anyopaque) callconv(.c) ?*anyopaque {
            const seen: *@This() = @ptrCast(@alignCast(context));
            _ = linux.sigprocmask(linux.SIG.SETMASK, null, &seen.mask);
            return null;
        }
    };
    var before: linux.sigset_t = undefined;
    _ = linux.sigprocmask(linux.SIG.SETMASK, null, &before);
    var seen: Seen = .{ .mask = linux.sigemptyset() };
    const thread = Thread.start(Seen.look, &seen) orelse return error.NoThread;
    thread.join();
    const sigint = 2;
    const sigsetxid = 33;
    try std.testing.expect(seen.mask[0] & (1 << (sigint - 1)) != 0);
    try std.testing.expect(seen.mask[0] & (1 << (sigsetxid - 1)) == 0);
    var after: linux.sigset_t = undefined;
    _ = linux.sigprocmask(linux.SIG.SETMASK, null, &after);
    try std.testing.expectEqual(before, after);
}
