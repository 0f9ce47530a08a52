/**
 * A file from one process to another, read straight into the memory that both share:
 *
 *     bun examples/file.ts receive /tmp/copy
 *     deno run -A examples/file.ts send /some/file
 */
import { open } from "node:fs/promises";
import process from "node:process";
import { connect, listen } from "../mod.ts";

const [job, path] = process.argv.slice(2);
const PIECE_BYTES = 256 * 1024;
/** Both ends write into a ring of this size; a quarter of it can be lent as one piece. */
const ringBytes = 1024 * 1024;

if (job === "receive") {
  await using listener = await listen("xio://files", { ringBytes });
  await using handle = await listener.accept();
  const file = await open(path, "w");
  let bytes = 0;
  while (await handle.waitReadable()) {
    for (const buffer of handle.getReadBuf()) {
      await file.write(buffer.bytes);
      bytes += buffer.size;
      buffer.release();
    }
  }
  await file.close();
  console.log(`received ${bytes} bytes`);
} else {
  await using handle = await connect("xio://files", { ringBytes });
  const file = await open(path);
  for (let bytesRead = -1; bytesRead !== 0;) {
    const [buffer] = handle.getWriteBuf(PIECE_BYTES);
    if (buffer === undefined) {
      await handle.waitWritable();
      continue;
    }
    ({ bytesRead } = await file.read(buffer.bytes));
    if (bytesRead === 0) buffer.release();
    else handle.commit(buffer, bytesRead);
    handle.flush();
  }
  await file.close();
  await handle.closeWrite();
  const { sent, delivered } = await handle.close({ drainDeadlineMs: 60_000 });
  console.log(`sent ${sent} pieces, ${delivered} taken`);
}
