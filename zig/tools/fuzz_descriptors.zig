//! Descriptors that an attacker passes: some are what a path needs, most are nearly that, or nothing of the kind.

const std = @import("std");
const fable = @import("fable");
const linux = std.os.linux;
const memory = fable.sys.memory;

const max_kept = 8;

pub const Descriptors = struct {
    random: std.Random,
    /// Other ends, open for a while: what they belong to is alive.
    kept: [max_kept]i32 = @splat(-1),
    next: usize = 0,
    /// What the victim made, and the attacker's own end of the link.
    victims: [2]i32 = .{ -1, -1 },

    /// One of any kind; the caller closes it.
    pub fn any(self: *Descriptors, ring_bytes: u32) i32 {
        const random = self.random;
        return switch (random.uintLessThan(u32, 20)) {
            0, 1, 2 => region(ring_bytes, memory.seals_read_only),
            3 => region(ring_bytes, memory.seals_fixed_size),
            4 => region(ring_bytes, 0),
            5 => region(ring_bytes +% 4096, memory.seals_read_only),
            6, 7 => self.pipe(0),
            8, 9 => self.pipe(1),
            10, 11 => self.socketPair(linux.SOCK.STREAM),
            12 => self.socketPair(linux.SOCK.SEQPACKET),
            13 => self.tcp(),
            14 => made(linux.socket(linux.AF.INET, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, 0)),
            15 => listening(),
            16 => open(([_][*:0]const u8{ "/dev/zero", "/dev/full", "/proc/self/exe", "/", "/dev/null" })[random.uintLessThan(usize, 5)]),
            17 => made(linux.eventfd(0, linux.EFD.CLOEXEC)),
            18 => made(linux.epoll_create1(linux.EPOLL.CLOEXEC)),
            else => dup(self.victims[random.uintLessThan(usize, 2)]),
        };
    }

    /// As many, and of the kind, that an offer of `transport` needs.
    pub fn fitting(self: *Descriptors, transport: u32, ring_bytes: u32, out: *[3]i32) []i32 {
        out.* = @splat(-1);
        switch (transport) {
            1, 2, 3 => out[0] = region(ring_bytes, memory.seals_read_only),
            4 => out[0] = self.socketPair(linux.SOCK.STREAM),
            5, 6 => out[0] = self.tcp(),
            7 => out[0] = self.pipe(0),
            8 => out[0..2].* = .{ self.pipe(0), self.pipe(1) },
            else => out.* = .{ region(ring_bytes, memory.seals_read_only), self.pipe(0), self.pipe(1) },
        }
        return out[0..switch (transport) {
            8 => 2,
            9 => 3,
            else => 1,
        }];
    }

    fn pipe(self: *Descriptors, which: usize) i32 {
        var ends: [2]i32 = undefined;
        if (bad(linux.pipe2(&ends, .{ .CLOEXEC = true, .NONBLOCK = self.random.boolean() }))) return -1;
        self.leave(ends[1 - which]);
        return ends[which];
    }

    fn socketPair(self: *Descriptors, kind: u32) i32 {
        var ends: [2]i32 = undefined;
        if (bad(linux.socketpair(linux.AF.UNIX, kind | linux.SOCK.CLOEXEC, 0, &ends))) return -1;
        self.leave(ends[1]);
        return ends[0];
    }

    fn tcp(self: *Descriptors) i32 {
        var ends: [2]i32 = undefined;
        if (fable.sys.pipe.tcpPair(&ends, false) < 0) return -1;
        self.leave(ends[1]);
        return ends[0];
    }

    /// The end that the victim does not get: open, or closed at once.
    fn leave(self: *Descriptors, fd: i32) void {
        if (self.random.boolean()) return close(fd);
        close(self.kept[self.next]);
        self.kept[self.next] = fd;
        self.next = (self.next + 1) % max_kept;
    }

    /// Bytes into what is kept, whatever it is.
    pub fn babble(self: *Descriptors) void {
        var bytes: [64]u8 = undefined;
        self.random.bytes(&bytes);
        const fd = self.kept[self.random.uintLessThan(usize, max_kept)];
        if (fd < 0) return;
        // a pipe nobody reads any more would be our SIGPIPE
        var one = [1]linux.pollfd{.{ .fd = fd, .events = linux.POLL.OUT, .revents = 0 }};
        if (linux.poll(&one, 1, 0) == 1 and one[0].revents == linux.POLL.OUT) _ = fable.system.writePeersPipe(fd, &bytes, self.random.uintAtMost(usize, bytes.len));
    }

    pub fn deinit(self: *Descriptors) void {
        for (self.kept) |fd| close(fd);
        for (self.victims) |fd| close(fd);
    }
};

pub fn region(size: u32, seals: u32) i32 {
    const rc = memory.create("fable-fuzz", size);
    if (rc < 0) return -1;
    if (seals != 0) _ = memory.seal(@intCast(rc), seals);
    return @intCast(rc);
}

fn listening() i32 {
    const fd = made(linux.socket(linux.AF.UNIX, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, 0));
    var address: linux.sockaddr.un = .{ .path = @splat(0) };
    if (fd < 0) return fd;
    _ = linux.bind(fd, @ptrCast(&address), @sizeOf(linux.sa_family_t)); // a name of the kernel's choice, in no folder
    _ = linux.listen(fd, 1);
    return fd;
}

pub fn open(path: [*:0]const u8) i32 {
    return made(linux.open(path, .{ .ACCMODE = .RDONLY, .CLOEXEC = true }, 0));
}

pub fn dup(fd: i32) i32 {
    return if (fd < 0) -1 else made(linux.fcntl(fd, linux.F.DUPFD_CLOEXEC, 0));
}

pub fn close(fd: i32) void {
    if (fd >= 0) _ = linux.close(fd);
}

fn made(rc: usize) i32 {
    return if (bad(rc)) -1 else @intCast(rc);
}

pub fn bad(rc: usize) bool {
    return rc > std.math.maxInt(usize) - 4096;
}
