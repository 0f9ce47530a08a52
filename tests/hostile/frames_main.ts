/** The process that throws frames at a broker: `frames_main.ts SOCKET FRAMES SEED FLOW`. */
import process from "node:process";
import { RawClient } from "../broker/raw.ts";
import { seeded } from "../process/harness.ts";
import { barrage } from "./frames.ts";

const [socket = "", frames = "0", seed = "0", flow = ""] = process.argv.slice(2);
await barrage(() => new RawClient(socket), Number(frames), seeded(Number(seed)), flow);
process.stdout.write(`${JSON.stringify({ event: "sent" })}\n`);
process.exit(0);
