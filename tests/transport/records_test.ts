/** Records: what the writer lays out is what the reader walks, whatever the sizes, the batches and the order in which space comes back. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  FAULT_FRAGMENT,
  FAULT_LENGTH,
  PEER_FAULT,
  RECORD_FIRST,
  RECORD_LAST,
  RECORD_MESSAGE,
  RECORD_MORE,
  RECORD_PAD,
} from "../../src/native/generated.ts";
import { FragmentWriter } from "../../src/transport/fragments.ts";
import type { Hold } from "../../src/transport/holds.ts";
import { smallRecordsUntil, wholeMessageAhead } from "../../src/transport/lookahead.ts";
import { recordLength } from "../../src/transport/records.ts";
import { FakeRing, patterned, randomFrom } from "./fake_ring.ts";

/** Writes one message if there is room. */
function write(ring: FakeRing, message: Uint8Array): boolean {
  const at = ring.writer.place(message.length);
  if (at < 0) return false;
  ring.writer.bytes.set(message, at);
  ring.writer.commit(message.length);
  return true;
}

/** The current message, copied. */
function current(ring: FakeRing): Uint8Array {
  const { memory, at, length } = ring.reader;
  return memory.slice(at, at + length);
}

/** Sizes from 0 to `most`, each order of magnitude equally often. */
function anySize(random: (below: number) => number, most: number): number {
  return Math.min(most, Math.floor(2 ** (random(1000) / 1000 * Math.log2(most + 1))) - 1 + random(2));
}

describe("record lengths", () => {
  test("short equal records never straddle a line, long payloads are followed by one on a line", () => {
    for (let size = 0; size <= 56; size++) {
      let at = 72;
      at += recordLength(at, size);
      for (let count = 0; count < 40; count++) {
        assert.ok(at % 64 + 8 + size <= 64, `${size} at ${at}`);
        at += recordLength(at, size);
      }
    }
    assert.equal(recordLength(0, 56), 64);
    assert.equal(recordLength(0, 48), 64);
    assert.equal(recordLength(0, 8), 16);
    assert.equal(recordLength(24, 16), 40);
    assert.equal(recordLength(0, 64), 72);
    assert.equal(recordLength(0, 1016), 1024);
    assert.equal(recordLength(0, 1024), 1080);
    assert.equal(recordLength(56, 4096), 8 + 4096 + 56);
  });
});

describe("writer and reader", () => {
  test("carry every message once, in order and intact, over many laps", () => {
    for (const [size, seed] of [[4096, 1], [4096, 2], [8192, 3], [65536, 4]]) {
      const ring = new FakeRing(size);
      const random = randomFrom(seed);
      let sent = 0;
      let received = 0;
      while (received < 3000) {
        for (let burst = random(40); burst > 0 && sent < 3000; burst--) {
          if (!write(ring, patterned(sent, anySize(random, size / 4)))) break;
          sent++;
          if (random(5) === 0) ring.writer.flush();
        }
        ring.writer.flush();
        for (let burst = random(60); burst > 0 && ring.reader.next(); burst--) {
          assert.deepEqual(current(ring), patterned(received, ring.reader.length));
          assert.equal(ring.reader.at % 8, 0);
          received++;
          assert.equal(ring.reader.sequence, received);
        }
      }
      ring.reader.next();
      assert.equal(ring.consumed, ring.published, "all space is back");
      assert.deepEqual([ring.messagesConsumed, ring.payloadConsumed], [ring.messagesPublished, ring.payloadPublished]);
      assert.equal(ring.messagesConsumed, 3000);
      assert.deepEqual(ring.faults, []);
    }
  });

  test("a batch is published by one store of its first header, and not before", () => {
    const ring = new FakeRing(4096);
    for (let number = 0; number < 5; number++) assert.ok(write(ring, patterned(number, 20)));
    assert.equal(ring.publishes, 0);
    assert.equal(ring.dirtied, 1);
    assert.equal(ring.reader.next(), false);
    ring.writer.flush();
    ring.writer.flush();
    assert.equal(ring.publishes, 1);
    let count = 0;
    while (ring.reader.next()) count++;
    assert.equal(count, 5);
  });

  test("a full ring says so, a long batch flushes itself, and space comes back before the window is walked to its end", () => {
    const ring = new FakeRing(4096);
    let written = 0;
    while (write(ring, patterned(written, 56))) written++;
    assert.equal(written, (4096 - 64) / 64);
    ring.writer.flush();
    assert.ok(ring.publishes > 1, "batches of an eighth of the ring");
    assert.equal(write(ring, patterned(0, 56)), false);
    for (let count = 0; count < 10; count++) assert.ok(ring.reader.next());
    assert.ok(ring.consumed > 0, "an eighth of the ring was given back");
    assert.ok(ring.reader.inWindow);
    assert.ok(write(ring, patterned(0, 56)));
  });

  test("a committed message may be shorter than what was placed", () => {
    const ring = new FakeRing(4096);
    ring.writer.place(1000);
    ring.writer.commit(10);
    ring.writer.flush();
    assert.equal(ring.published, recordLength(0, 10));
    assert.ok(ring.reader.next());
    assert.equal(ring.reader.length, 10);
  });

  test("a shortened message never takes more of the ring than was found free", () => {
    const ring = new FakeRing(4096);
    assert.ok(write(ring, new Uint8Array(8)));
    ring.writer.flush();
    assert.ok(ring.reader.next() && !ring.reader.next());
    assert.equal(ring.consumed, 16);
    for (let at = 16; at < 4096 - 64 + 16 - 72; at += 8) assert.ok(write(ring, new Uint8Array(0)));
    // 64 bytes need no slack here and fill the ring to its last free byte; 56 would want the rest of the next line.
    assert.ok(ring.writer.place(64) >= 0);
    assert.deepEqual([ring.writer.length, recordLength(ring.writer.at, 56)], [72, 120]);
    ring.writer.commit(56);
    ring.writer.flush(); // which the ring refuses if it does not fit
    assert.equal(ring.space(), 0);
  });

  test("peek shows nothing and loses nothing", () => {
    const ring = new FakeRing(4096);
    assert.equal(ring.reader.peek(), false);
    for (let number = 0; number < 3; number++) write(ring, patterned(number, 30));
    ring.writer.flush();
    for (let number = 0; number < 3; number++) {
      assert.ok(ring.reader.peek());
      assert.ok(ring.reader.peek());
      ring.reader.release();
      assert.ok(ring.reader.next());
      assert.deepEqual(current(ring), patterned(number, 30));
    }
    assert.equal(ring.reader.peek(), false);
    assert.equal(ring.reader.next(), false);
    assert.equal(ring.messagesConsumed, 3);
  });

  test("held messages keep their place; space comes back in order of the ring, whatever the order of release", () => {
    const ring = new FakeRing(4096);
    const random = randomFrom(9);
    const held: { readonly hold: Hold; readonly at: number; readonly number: number; readonly size: number }[] = [];
    let sent = 0;
    let received = 0;
    while (received < 2000) {
      while (sent < 2000 && write(ring, patterned(sent, random(300)))) sent++;
      ring.writer.flush();
      ring.reader.release();
      while (held.length < 20 && ring.reader.next()) {
        const { at, length: size } = ring.reader;
        held.push({ hold: ring.reader.hold(), at, number: received++, size });
      }
      for (const { at, number, size } of held) assert.deepEqual(ring.reader.arena.slice(at, at + size), patterned(number, size));
      for (let count = 1 + random(held.length); count > 0 && held.length > 0; count--) {
        ring.reader.unhold(held.splice(random(held.length), 1)[0].hold);
      }
    }
    for (const { hold } of held) ring.reader.unhold(hold);
    ring.reader.next();
    assert.equal(ring.consumed, ring.published);
    assert.equal(ring.messagesConsumed, 2000);
    assert.equal(ring.reader.heldPieces, 0);
    assert.equal(ring.reader.heldBytes, 0);
  });
});

describe("fragments", () => {
  test("a message larger than the ring arrives whole, and not before it is complete", () => {
    const ring = new FakeRing(4096);
    const message = patterned(7, 50_000);
    const fragments = new FragmentWriter(message);
    let steps = 0;
    while (!fragments.step(ring.writer)) {
      steps++;
      ring.writer.flush();
      assert.equal(ring.reader.next(), false);
    }
    ring.writer.flush();
    assert.ok(steps > 10);
    assert.ok(ring.reader.next());
    assert.ok(ring.reader.assembled);
    assert.deepEqual(current(ring), message);
    assert.deepEqual(ring.reader.takeAssembled(), message);
    assert.deepEqual([ring.messagesPublished, ring.payloadPublished], [1, 50_000]);
    ring.reader.next();
    assert.deepEqual([ring.messagesConsumed, ring.payloadConsumed], [1, 50_000]);
  });

  test("one that lies in the window whole is found ahead and lent in pieces", () => {
    const ring = new FakeRing(16384);
    const message = patterned(3, 9000);
    assert.ok(new FragmentWriter(message).step(ring.writer));
    write(ring, patterned(4, 10));
    ring.writer.flush();
    assert.ok(ring.reader.nextWindow());
    assert.ok(wholeMessageAhead(ring.reader));
    const pieces: Uint8Array[] = [];
    do {
      assert.ok(ring.reader.nextPiece());
      pieces.push(current(ring));
      ring.reader.unhold(ring.reader.hold());
    } while (!ring.reader.pieceIsLast);
    assert.equal(pieces.length, 3);
    assert.deepEqual(new Uint8Array(pieces.flatMap((piece) => [...piece])), message);
    assert.equal(wholeMessageAhead(ring.reader), false);
    assert.ok(ring.reader.next());
    assert.equal(ring.reader.sequence, 2);
    assert.deepEqual([ring.messagesConsumed, ring.payloadConsumed], [1, 9000]);
  });

  test("their memory is used again, unless it was handed over", () => {
    const ring = new FakeRing(4096);
    const receive = (number: number): ArrayBufferLike => {
      const fragments = new FragmentWriter(patterned(number, 3000));
      while (!fragments.step(ring.writer)) {
        ring.writer.flush();
        assert.equal(ring.reader.next(), false);
      }
      ring.writer.flush();
      assert.ok(ring.reader.next());
      return ring.reader.memory.buffer;
    };
    const first = receive(1);
    assert.equal(receive(2), first);
    ring.reader.takeAssembled();
    assert.notEqual(receive(3), first);
  });
});

describe("a peer that scribbles", () => {
  const header = (ring: FakeRing, at: number, kind: number, size: number, stride: number): void => {
    ring.words[at >> 2] = size;
    ring.words[(at >> 2) + 1] = kind << 24 | stride;
  };

  /** Publishes `bytes` of whatever was put into the ring behind the writer's back. */
  const expose = (ring: FakeRing, bytes: number): void => {
    ring.published += bytes;
  };

  const cases: readonly { readonly name: string; readonly detail: number; readonly put: (ring: FakeRing) => void }[] = [
    { name: "a stride of zero", detail: FAULT_LENGTH, put: (ring) => header(ring, 0, RECORD_MESSAGE, 0, 0) },
    { name: "a stride past the window", detail: FAULT_LENGTH, put: (ring) => header(ring, 0, RECORD_MESSAGE, 8, 100) },
    { name: "a payload longer than its record", detail: FAULT_LENGTH, put: (ring) => header(ring, 0, RECORD_MESSAGE, 57, 8) },
    { name: "a payload of four gigabytes", detail: FAULT_LENGTH, put: (ring) => header(ring, 0, RECORD_MESSAGE, -1, 8) },
    { name: "a kind that does not exist", detail: FAULT_FRAGMENT, put: (ring) => header(ring, 0, 99, 8, 8) },
    { name: "the rest of a message that never began", detail: FAULT_FRAGMENT, put: (ring) => header(ring, 0, RECORD_MORE, 8, 8) },
    { name: "a first fragment too short for its total", detail: FAULT_FRAGMENT, put: (ring) => header(ring, 0, RECORD_FIRST, 4, 8) },
    {
      name: "a total over the limit",
      detail: FAULT_FRAGMENT,
      put: (ring) => {
        header(ring, 0, RECORD_FIRST, 16, 8);
        ring.words[2] = 0x7fff_ffff;
      },
    },
    {
      name: "an end before the total",
      detail: FAULT_FRAGMENT,
      put: (ring) => {
        header(ring, 0, RECORD_FIRST, 16, 4);
        ring.words[2] = 1000;
        header(ring, 32, RECORD_LAST, 8, 4);
      },
    },
  ];

  for (const { name, detail, put } of cases) {
    test(`${name} ends the channel and never hangs`, () => {
      const ring = new FakeRing(4096);
      put(ring);
      expose(ring, 64);
      assert.equal(ring.reader.next(), false);
      assert.deepEqual(ring.faults, [detail]);
      assert.equal(ring.reader.status, PEER_FAULT);
      assert.equal(ring.reader.next(), false);
      assert.deepEqual(ring.faults, [detail], "told once");
    });
  }

  test("headers that change behind the reader's back are never walked past the window", () => {
    const random = randomFrom(77);
    for (let round = 0; round < 300; round++) {
      const ring = new FakeRing(4096);
      for (let number = 0; number < 8; number++) write(ring, patterned(number, random(200)));
      ring.writer.flush();
      const bytes = ring.published;
      ring.reader.nextWindow();
      for (let count = 1 + random(4); count > 0; count--) ring.words[random(bytes >> 2)] = random(2 ** 31) * (random(2) === 0 ? 1 : -1);
      wholeMessageAhead(ring.reader);
      smallRecordsUntil(ring.reader, 0, 4096, 16384);
      for (let count = 0; count < 100 && ring.reader.next(); count++) assert.ok(ring.reader.offset <= bytes);
      assert.ok(ring.faults.length <= 1);
    }
  });

  test("a header that is whole again by the time others hear of the fault is not walked after all", () => {
    for (const kind of [RECORD_MESSAGE, RECORD_LAST]) {
      const ring = new FakeRing(4096);
      header(ring, 0, kind, 4000, 8);
      expose(ring, 64);
      ring.onFault = () => {
        header(ring, 0, RECORD_MESSAGE, 8, 64);
        assert.equal(ring.reader.peek(), false);
      };
      assert.equal(ring.reader.next(), false);
      assert.equal(ring.reader.next(), false, "nothing was kept back for later");
      assert.equal(ring.faults.length, 1);
    }
  });

  test("looking ahead stops at a stride of zero", () => {
    const ring = new FakeRing(4096);
    header(ring, 0, RECORD_PAD, 0, 1);
    header(ring, 8, RECORD_FIRST, 8, 0);
    header(ring, 64, RECORD_MESSAGE, 8, 8);
    expose(ring, 128);
    // The padding in front is skipped by the ring, so the window starts at the record without a length.
    assert.ok(ring.reader.nextWindow());
    assert.equal(wholeMessageAhead(ring.reader), false);
    assert.equal(smallRecordsUntil(ring.reader, 0, 4096, 16384), ring.reader.offset);
  });
});
