/**
 * Opens a name service, registers and listens, and then has nothing more to do: it must end by itself, although nothing was closed. With
 * "held", only after it stopped holding the process.
 */
import process from "node:process";
import { connectNameService } from "../../src/naming/client.ts";
import { loadNative } from "../../src/native/load.ts";

const say = (event: string) => process.stdout.write(`${JSON.stringify({ event })}\n`);
const service = await connectNameService(loadNative(), { timeoutMs: 60_000 });
const registration = await service.register("xio://leaver");
await registration.listen({
  backlog: 1,
  onOffer: () => {
    throw new Error("nobody connects");
  },
});
if (process.argv[2] === "held") {
  service.setRef(true);
  // A timer that does not hold the process by itself: it fires only if the service does.
  const timer = setTimeout(() => {
    say("let-go");
    service.setRef(false);
  }, 200);
  timer.unref();
}
say("ready");
process.on("exit", () => say("exit"));
