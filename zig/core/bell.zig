//! The flag protocol between an end that sleeps and the end that wakes it. Each word has one writer:
//!
//!     waiter                                          ringer
//!     sleep_word = generation | interest  (release)   publish, or release space   (release)
//!     membarrier (once for a whole set)               compiler barrier            (seq_cst fence if a peer cannot membarrier)
//!     look again; nothing: sleep                      w = waiter's sleep_word; interested, and not yet rung for w:
//!     sleep_word = generation, awake                      rung_word = w (release); futex wake, or a byte on the doorbell
//!
//! The waiter's membarrier puts a full barrier between the ringer's store and its load, so either the waiter's second look sees what was
//! published, or the ringer sees the announcement. A generation is rung at most once: at most one unread byte per sleep.

const control = @import("../layout/control.zig");
const Control = control.Control;

/// System calls the ringing needs, handed in.
pub const Calls = struct {
    /// Wakes whoever waits on the futex `word`.
    wake: *const fn (word: *const u32) void,
    /// One byte into the doorbell socket, never blocking.
    ring: *const fn (doorbell: i32) void,
};

pub inline fn compilerBarrier() void {
    asm volatile ("" ::: .{ .memory = true });
}

pub inline fn fullFence() void {
    switch (@import("builtin").cpu.arch) {
        // a locked instruction orders ordinary memory as mfence does, and costs less
        .x86_64 => asm volatile ("lock orl $0, (%%rsp)" ::: .{ .memory = true, .cc = true }),
        .aarch64 => asm volatile ("dmb ish" ::: .{ .memory = true }),
        else => @compileError("x86-64 and arm64 only"),
    }
}

/// What a channel's peer is before it is attached: all zero, so nothing was released and nobody sleeps.
pub const nobody: Control align(4096) = @bitCast(@as([4096]u8, @splat(0)));

pub const Bell = struct {
    own: *Control,
    peer: *const Control,
    /// One of the ends cannot membarrier: both fence.
    fence: bool,
    doorbell: i32,
    calls: *const Calls,

    /// After publishing (interest = sleep_data) or releasing (sleep_space).
    pub inline fn notify(b: *Bell, interest: u32) void {
        if (b.fence) fullFence() else compilerBarrier();
        const word = @atomicLoad(u32, &b.peer.sleep_word, .monotonic);
        if (word & interest != 0) {
            @branchHint(.unlikely);
            b.ring(word);
        }
    }

    /// notify() of a path through the kernel. Against a call there a fence costs nothing, and it spares the waiter its membarrier, which
    /// interrupts this CPU.
    pub fn notifyFenced(b: *Bell, interest: u32) void {
        fullFence();
        const word = @atomicLoad(u32, &b.peer.sleep_word, .monotonic);
        if (word & interest != 0) b.ring(word);
    }

    /// After a change of state that concerns every sleeper.
    pub fn notifyAll(b: *Bell) void {
        b.notifyFenced(control.sleep_interest);
    }

    /// After a frame on the link: whoever spins sees the count, whoever sleeps is woken, an event loop has a byte to read.
    pub fn order(b: *Bell) void {
        @atomicStore(u32, &b.own.orders, b.own.orders +% 1, .release);
        fullFence();
        const word = @atomicLoad(u32, &b.peer.sleep_word, .monotonic);
        if (word & control.sleep_futex != 0) b.ring(word);
        b.calls.ring(b.doorbell);
    }

    noinline fn ring(b: *Bell, word: u32) void {
        if (word == b.own.rung_word) return; // ours alone to write
        @atomicStore(u32, &b.own.rung_word, word, .release);
        b.own.rings +%= 1;
        if (word & control.sleep_futex != 0) b.calls.wake(&b.own.rung_word) else b.calls.ring(b.doorbell);
    }

    /// Says what this end will sleep for. The caller fences (once for all its channels) and looks again before it sleeps.
    pub fn announce(b: *Bell, bits: u32) u32 {
        const word = ((b.own.sleep_word & ~control.sleep_mask) +% control.sleep_generation) | bits;
        @atomicStore(u32, &b.own.sleep_word, word, .release);
        b.own.sleeps +%= 1;
        return word;
    }

    pub inline fn awake(b: *Bell) void {
        const word = b.own.sleep_word;
        if (word & control.sleep_mask != 0) @atomicStore(u32, &b.own.sleep_word, word & ~control.sleep_mask, .release);
    }
};
