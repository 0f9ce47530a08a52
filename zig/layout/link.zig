//! Frames on the link: a packet socket between the two ends of a channel, over which they settle reconfigurations without the broker.
//! Both directions of the channel use it; the kind says whose frame it is. After a frame its sender counts up `orders` in its control
//! region and rings, so that ends that spin, sleep or wait in an event loop look.
//!
//!     writer of a direction                            its reader
//!       offer  attempt, transport, ring_bytes, fds  →
//!                                                   ←  accept attempt  |  refuse attempt, status
//!       cancel attempt                              →                          (before the marker only)
//!       …marker on the old path…
//!       marked attempt                              →                          (look for it)
//!                                                   ←  crossed attempt         (all of the old path is there)
//!       rest   attempt, first, fd                   →                          (bytes that a broken path did not deliver)
//!                                                   ←  lost   attempt          (the path broke: send the rest)
//!                                                   ←  ask    transport        (please move)

const std = @import("std");

pub const Kind = enum(u32) { offer = 1, accept = 2, refuse = 3, cancel = 4, crossed = 5, rest = 6, lost = 7, ask = 8, marked = 9, _ };

pub const Frame = extern struct {
    kind: Kind,
    /// Numbers the offers of a direction; for `rest` and `lost` the epoch.
    attempt: u32 = 0,
    transport: u32 = 0,
    /// Size of the ring, of the arena to receive into, or of the rest.
    ring_bytes: u32 = 0,
    reason: u32 = 0,
    /// Of a refusal: minus the status; zero if a newer order took its place. One that answers `ask` has attempt zero and says `transport`.
    status: u32 = 0,
    /// `rest`: position on the way of its first byte.
    first: u64 = 0,
};

/// Ring; path; path and the way back; heap, path and the way back.
pub const max_fds = 3;

comptime {
    std.debug.assert(@sizeOf(Frame) == 32);
}
