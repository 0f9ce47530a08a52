/** A program that waits in one way and says what came of it; whether it gets that far is the test. */
import process from "node:process";
import { channelPair, type TransportName } from "../../mod.ts";

const [way, transport] = process.argv.slice(2) as [string, TransportName];
const [left, right] = channelPair({ transport });
// A handle that is collected would be closed, and nothing would be waited for any more.
Object.assign(globalThis, { kept: [left, right] });

if (way === "closed") {
  // The end is asked for while a message is waited for, and the message comes first.
  const message = left.receive();
  const { closed } = left;
  right.unref();
  right.send("hello");
  await message;
  setTimeout(() => void right.close({ drainDeadlineMs: 0 }), 100).unref();
  setTimeout(() => {}, 50);
  // Nothing but this wait keeps the process alive from here on, and it is ended by another program's timer, as it were.
  console.log((await closed).code);
} else {
  left.unref();
  right.unref();
  void left.receive();
  console.log("waiting");
}
