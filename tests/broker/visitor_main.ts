/** Opens a number of name services at the same moment, says which brokers it found, and stays until its stdin ends. */
import process from "node:process";
import { connectNameService } from "../../src/naming/client.ts";
import { loadNative } from "../../src/native/load.ts";

const count = Number(process.argv[2] ?? 1);
const services = await Promise.all(Array.from({ length: count }, () => connectNameService(loadNative(), { timeoutMs: 60_000 })));
process.stdout.write(`${JSON.stringify({ event: "connected", instances: services.map((service) => service.broker?.instance) })}\n`);
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
