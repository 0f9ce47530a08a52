/** The worker of worker.ts: adds up the numbers it is sent, where they lie. */
import { type ChannelPort, openPort } from "../mod.ts";

const scope = globalThis as unknown as { onmessage: (event: { readonly data: ChannelPort }) => void };

scope.onmessage = async ({ data }) => {
  await using handle = await openPort(data, { ringBytes: 1024 * 1024 });
  const reader = handle.reader();
  while (await reader.wait()) {
    while (reader.next()) {
      const numbers = new Float64Array(reader.bytes.buffer, reader.bytes.byteOffset + reader.offset, reader.length / 8);
      const sum = numbers.reduce((total, number) => total + number, 0);
      handle.send(new Uint8Array(Float64Array.of(sum).buffer));
    }
  }
};
