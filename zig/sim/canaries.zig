//! Bugs planted into a copy of the core, one at a time, to see that the simulation finds each (tests/simulation/canaries_test.ts). The core
//! itself knows nothing of them: build.zig writes the copy, with `from` replaced by `to` in `file`, and it does not build if a `from` is not
//! there exactly once.

pub const Name = enum {
    marker_first,
    unaccepted,
    early_release,
    rest_forgotten,
    rest_twice,
    checker_forgotten,
    fragment_restarted,
    one_cursor,
    lent_given_back,
    waiting_dropped,
    order_unrung,
    stale_accept,
    pages_reused,
    half_record_silent,
    death_first,
    answer_dropped,
    stretch_left_silently,
    heap_unrung,
    stretch_reused,
};

pub var active: ?Name = null;

pub fn on(name: Name) bool {
    return active == name;
}

pub const Canary = struct { name: Name, what: []const u8, file: []const u8, from: []const u8, to: []const u8 };

const on_ = "@import(\"canaries\").on";

pub const all = [_]Canary{
    .{
        .name = .marker_first,
        .what = "the marker goes before bytes that were published and not sent",
        .file = "stream.zig",
        .from = "            t.writer.marker();\n",
        .to = "            if (" ++ on_ ++ "(.marker_first)) t.sent = t.writer.published;\n            t.writer.marker();\n",
    },
    .{
        .name = .unaccepted,
        .what = "the writer crosses before the reader has accepted",
        .file = "epochs_out.zig",
        .from = "            s.phase = .offered;\n",
        .to = "            s.phase = if (" ++ on_ ++ "(.unaccepted)) .ready else .offered;\n            if (s.phase == .ready) return cross(c);\n",
    },
    .{
        .name = .early_release,
        .what = "the old path is released before the reader has crossed",
        .file = "epochs_out.zig",
        .from = "            s.phase = .draining;\n",
        .to = "            s.phase = .draining;\n            if (" ++ on_ ++ "(.early_release) and old.transport == .stream) old.transport.stream.close();\n",
    },
    .{
        .name = .rest_forgotten,
        .what = "what a broken path did not deliver is forgotten",
        .file = "epochs_out.zig",
        .from = "            t.acknowledge();\n            var size: u64 = 0;\n",
        .to = "            t.acknowledge();\n            out.rest_sent = " ++ on_ ++ "(.rest_forgotten);\n            if (out.rest_sent) return;\n            var size: u64 = 0;\n",
    },
    .{
        .name = .rest_twice,
        .what = "the rest of a broken path is read from its beginning, though part of it had arrived",
        .file = "epochs_in.zig",
        .from = "            t.rest_at = @intCast(had - frame.first);\n",
        .to = "            t.rest_at = if (" ++ on_ ++ "(.rest_twice)) 0 else @intCast(had - frame.first);\n",
    },
    .{
        .name = .checker_forgotten,
        .what = "a reader forgets, crossing, that it is in the middle of a message",
        .file = "epochs_in.zig",
        .from = "                            to.reader.checker = from.reader.checker;\n",
        .to = "                            if (!" ++ on_ ++ "(.checker_forgotten)) to.reader.checker = from.reader.checker;\n",
    },
    .{
        .name = .fragment_restarted,
        .what = "a writer forgets, crossing, how much of a message it has sent",
        .file = "record_writer.zig",
        .from = "        w.sending = before.sending;\n",
        .to = "        if (!" ++ on_ ++ "(.fragment_restarted)) w.sending = before.sending;\n",
    },
    .{
        .name = .one_cursor,
        .what = "the cursor of a next path begins where that of an older one ended",
        .file = "epochs_in.zig",
        .from = "            @atomicStore(u64, c.bell.own.released(next.epoch), 0, .release);\n",
        .to = "            @atomicStore(u64, c.bell.own.released(if (" ++ on_ ++ "(.one_cursor)) c.in.epoch else next.epoch), 0, .release);\n",
    },
    .{
        .name = .lent_given_back,
        .what = "the writer may overwrite what the reader's program still holds",
        .file = "record_reader.zig",
        .from = "        @atomicStore(u64, r.released_to, r.consumed, .release);\n",
        .to = "        @atomicStore(u64, r.released_to, if (" ++ on_ ++ "(.lent_given_back)) r.offered else r.consumed, .release);\n",
    },
    .{
        .name = .waiting_dropped,
        .what = "an order that waited behind another is dropped",
        .file = "epochs_out.zig",
        .from = "            s.waiting = null;\n            const outcome",
        .to = "            s.waiting = null;\n            if (" ++ on_ ++ "(.waiting_dropped)) return;\n            const outcome",
    },
    .{
        .name = .order_unrung,
        .what = "nobody rings after a frame",
        .file = "bell.zig",
        .from = "        b.calls.ring(b.doorbell);\n    }\n\n    noinline",
        .to = "        if (!" ++ on_ ++ "(.order_unrung)) b.calls.ring(b.doorbell);\n    }\n\n    noinline",
    },
    .{
        .name = .stale_accept,
        .what = "the answer to an offer that was taken back counts for the newest",
        .file = "epochs_out.zig",
        .from = "            if (s.phase != .offered or frame.attempt != s.attempt) return; // of",
        .to = "            if (s.phase != .offered or (frame.attempt != s.attempt and !" ++ on_ ++ "(.stale_accept))) return; // of",
    },
    .{
        .name = .pages_reused,
        .what = "spliced pages are written again before they came back",
        .file = "stream.zig",
        .from = "            const seen = if (t.acks_fd >= 0) t.returned else",
        .to = "            const seen = if (t.acks_fd >= 0 and " ++ on_ ++ "(.pages_reused)) t.sent_bytes else if (t.acks_fd >= 0) t.returned else",
    },
    .{
        .name = .half_record_silent,
        .what = "room in the kernel is told for whole records only",
        .file = "stream_in.zig",
        .from = "            if (t.taken_to.* == t.reader.filled_bytes) return;\n",
        .to = "            if (t.taken_to.* == t.reader.filled_bytes or (" ++ on_ ++ "(.half_record_silent) and t.told == t.reader.whole_bytes)) return;\n",
    },
    .{
        .name = .death_first,
        .what = "the death of a peer is told before what it sent",
        .file = "channel_reading.zig",
        .from = "                    more = t.starved() or t.underWay();\n",
        .to = "                    more = !" ++ on_ ++ "(.death_first) and (t.starved() or t.underWay());\n",
    },
    .{
        .name = .answer_dropped,
        .what = "an answer that finds the link full is dropped",
        .file = "epochs.zig",
        .from = "= if (said) null else frame;\n",
        .to = "= if (said or " ++ on_ ++ "(.answer_dropped)) null else frame;\n",
    },
    .{
        .name = .stretch_left_silently,
        .what = "the writer of a heap leaves a stretch and does not say so",
        .file = "heap.zig",
        .from = "            if (t.announced) {\n",
        .to = "            if (t.announced and !" ++ on_ ++ "(.stretch_left_silently)) {\n",
    },
    .{
        .name = .heap_unrung,
        .what = "nobody rings for a record in a stretch that goes on",
        .file = "heap.zig",
        .from = "            if (t.announced) w.bell.notify(control.sleep_data) else {\n",
        .to = "            if (t.announced) {\n                if (!" ++ on_ ++ "(.heap_unrung)) w.bell.notify(control.sleep_data);\n            } else {\n",
    },
    .{
        .name = .stretch_reused,
        .what = "the place where a stretch was left is free before the reader has been there",
        .file = "heap.zig",
        .from = "                first += tail_bytes;\n",
        .to = "                if (!" ++ on_ ++ "(.stretch_reused)) first += tail_bytes;\n",
    },
};
