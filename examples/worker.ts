/** A worker that computes while this thread goes on: the numbers never leave the memory both threads share. */
import { channelPort } from "../mod.ts";

const { port, handle: opening } = channelPort({ ringBytes: 1024 * 1024 });
const worker = new Worker(new URL("./worker-thread.ts", import.meta.url), { type: "module" });
worker.postMessage(port);
await using handle = await opening;

const count = 10_000;
const [buffer] = handle.getWriteBuf(count * 8);
const numbers = new Float64Array(buffer.bytes.buffer, buffer.bytes.byteOffset, count);
for (let index = 0; index < count; index++) numbers[index] = index;
handle.commit(buffer);

const answer = await handle.receive();
console.log(new Float64Array(answer!.buffer, answer!.byteOffset, 1)[0]);
worker.terminate();
