//! The command line of fable-bench, one flat struct for all of its commands.

const std = @import("std");
const os = @import("bench_os.zig");

pub const Transport = enum {
    @"mempipe-spin",
    @"mempipe-futex",
    mempipe,
    unix,
    tcp,
    @"tcp-nodelay",
    pipe,
    @"vmsplice-coop",
    @"shmem-pipe",
    @"raw-unix",
    @"raw-tcp",
    @"raw-tcp-nodelay",
    @"raw-pipe",

    /// FABLE_TRANSPORT_*; null: plain system calls, no channel.
    pub fn code(t: Transport) ?u32 {
        return switch (t) {
            .mempipe => 1,
            .@"mempipe-spin" => 2,
            .@"mempipe-futex" => 3,
            .unix => 4,
            .tcp => 5,
            .@"tcp-nodelay" => 6,
            .pipe => 7,
            .@"vmsplice-coop" => 8,
            .@"shmem-pipe" => 9,
            else => null,
        };
    }

    pub fn plain(t: Transport) bool {
        return t.code() == null;
    }

    /// Trust means something: records lie in memory that both ends map.
    pub fn memory(t: Transport) bool {
        return switch (t) {
            .mempipe, .@"mempipe-spin", .@"mempipe-futex", .@"shmem-pipe" => true,
            else => false,
        };
    }
};
pub const Trust = enum { trusted, untrusted };
pub const Check = @import("bench_payload.zig").Check;

pub const Options = struct {
    transport: Transport = .@"mempipe-spin",
    /// Where the moves of `gap` go.
    to: Transport = .unix,
    trust: Trust = .trusted,
    size_bytes: u32 = 64,
    ring_bytes: u32 = 65536,
    cores: [2]u32 = .{ 0, 1 },
    batch: u32 = 1,
    check: Check = .full,
    round_trips: u32 = 20_000,
    runs: u32 = 5,
    /// Latency goes on for as long, and takes more round trips then; 0: it does not.
    least_seconds: f64 = 0,
    /// 0: `seconds` decides.
    messages: u64 = 0,
    seconds: f64 = 0.2,
    /// Every other run is preceded by this many nanoseconds of rest, so that both ends sleep (latency only).
    rest_ns: u64 = 0,
    spin_ns: u32 = 50_000,
    placement: bool = true,
    /// Burnt per message by each end: a slow-down of known size, to see whether comparing two reports finds it.
    burn_ns: u64 = 0,
};

pub const usage =
    \\usage: fable-bench COMMAND [OPTION VALUE]…      one JSON object on stdout
    \\  lat     one-way latency of a ping-pong      thr    rate of a stream
    \\  line    one cache line between the cores    limit  fill → read limit of the machine for --size, --ring and --batch
    \\  ipi     an interrupt of the other core and its answer, halved (membarrier)
    \\  gap     silences of a stream while it moves between --transport and --to, --round-trips times
    \\options
    \\  --transport mempipe-spin|mempipe-futex|mempipe|unix|tcp|tcp-nodelay|pipe|vmsplice-coop|shmem-pipe
    \\              or raw-unix|raw-tcp|raw-tcp-nodelay|raw-pipe: the plain system calls   --trust trusted|untrusted
    \\  --size BYTES  --ring BYTES  --cores A,B  --batch N  --check full|plain|sequence  --runs N
    \\  --round-trips N  --messages N  --seconds S  --rest-ns N  --spin-ns N  --placement yes|no
    \\  --least-seconds S: a ping-pong goes on for as long
    \\exit status: 2 wrong usage, 3 not possible on this machine or for this trust, 1 anything else that failed
    \\
;

pub fn parse(arguments: []const [*:0]const u8) Options {
    var options: Options = .{};
    var i: usize = 0;
    while (i < arguments.len) : (i += 2) {
        const key = std.mem.span(arguments[i]);
        if (i + 1 == arguments.len) os.die(2, "{s} needs a value", .{key});
        set(&options, key, std.mem.span(arguments[i + 1]));
    }
    if (options.size_bytes < 1 or options.size_bytes > 64 << 20) os.die(2, "--size is 1 to 67108864 bytes", .{});
    if (options.ring_bytes < 4096 or options.ring_bytes > 64 << 20 or !std.math.isPowerOfTwo(options.ring_bytes)) {
        os.die(2, "--ring is a power of two from 4096 to 67108864", .{});
    }
    if (options.batch < 1 or options.runs < 1 or options.runs > 1000 or options.round_trips < 1) os.die(2, "numbers must be positive", .{});
    return options;
}

fn set(options: *Options, key: []const u8, value: []const u8) void {
    const is = struct {
        fn is(a: []const u8, b: []const u8) bool {
            return std.mem.eql(u8, a, b);
        }
    }.is;
    if (is(key, "--to")) {
        options.to = word(Transport, key, value);
    } else if (is(key, "--transport")) {
        options.transport = word(Transport, key, value);
    } else if (is(key, "--trust")) {
        options.trust = word(Trust, key, value);
    } else if (is(key, "--check")) {
        options.check = word(Check, key, value);
    } else if (is(key, "--size")) {
        options.size_bytes = number(u32, key, value);
    } else if (is(key, "--ring")) {
        options.ring_bytes = number(u32, key, value);
    } else if (is(key, "--batch")) {
        options.batch = number(u32, key, value);
    } else if (is(key, "--runs")) {
        options.runs = number(u32, key, value);
    } else if (is(key, "--round-trips")) {
        options.round_trips = number(u32, key, value);
    } else if (is(key, "--messages")) {
        options.messages = number(u64, key, value);
    } else if (is(key, "--rest-ns")) {
        options.rest_ns = number(u64, key, value);
    } else if (is(key, "--burn-ns")) {
        options.burn_ns = number(u64, key, value);
    } else if (is(key, "--spin-ns")) {
        options.spin_ns = number(u32, key, value);
    } else if (is(key, "--placement")) {
        options.placement = is(value, "yes");
    } else if (is(key, "--seconds")) {
        options.seconds = seconds(key, value);
    } else if (is(key, "--least-seconds")) {
        options.least_seconds = seconds(key, value);
    } else if (is(key, "--cores")) {
        const comma = std.mem.indexOfScalar(u8, value, ',') orelse os.die(2, "--cores wants A,B", .{});
        options.cores = .{ number(u32, key, value[0..comma]), number(u32, key, value[comma + 1 ..]) };
    } else os.die(2, "unknown option {s}", .{key});
}

fn number(comptime T: type, key: []const u8, value: []const u8) T {
    return std.fmt.parseInt(T, value, 10) catch os.die(2, "{s} wants a number, not {s}", .{ key, value });
}

fn seconds(key: []const u8, value: []const u8) f64 {
    const read = std.fmt.parseFloat(f64, value) catch os.die(2, "{s} wants a number, not {s}", .{ key, value });
    if (!(read > 0 and read <= 3600)) os.die(2, "{s} is up to 3600", .{key});
    return read;
}

fn word(comptime E: type, key: []const u8, value: []const u8) E {
    return std.meta.stringToEnum(E, value) orelse os.die(2, "{s} does not know {s}", .{ key, value });
}
