//! What one end sent, as long as that end was honest: the other must get exactly that.

pub const max_expected = 4096;
/// No honest message is larger.
pub const max_size = 9000;

pub const Ledger = struct {
    /// Nothing dishonest was done yet.
    honest: bool,
    sizes: [max_expected]u32 = undefined,
    sent: u32 = 0,
    delivered: u32 = 0,

    pub fn full(self: *const Ledger) bool {
        return self.sent - self.delivered == max_expected;
    }

    /// The next message is under way; its bytes are those of `fill(…, sent, …)`.
    pub fn send(self: *Ledger, size: u32) void {
        self.sizes[self.sent % max_expected] = size;
        self.sent += 1;
    }

    pub fn empty(self: *const Ledger) bool {
        return self.sent == self.delivered;
    }

    /// What is wrong with this delivery; null: nothing.
    pub fn deliver(self: *Ledger, bytes: []const u8) ?[]const u8 {
        if (!self.honest) return null;
        if (self.empty()) return "delivered more than was sent";
        const tag = self.delivered;
        self.delivered += 1;
        if (bytes.len != self.sizes[tag % max_expected]) return "delivered another size than was sent";
        for (bytes, 0..) |byte, index| if (byte != contentByte(tag, @intCast(index))) return "delivered other bytes than were sent";
        return null;
    }
};

/// Byte `index` of the honest message number `tag`.
pub fn contentByte(tag: u32, index: u32) u8 {
    return @truncate(tag *% 31 +% index *% 7 +% (index >> 8));
}

pub fn fill(bytes: []u8, tag: u32) void {
    for (bytes, 0..) |*byte, index| byte.* = contentByte(tag, @intCast(index));
}
