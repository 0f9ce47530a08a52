/** A program that talks to itself from outside: it needs nothing but --allow-ffi, and ends by itself although handles are open. */
import process from "node:process";
import { connect, listen } from "../../mod.ts";

const server = await listen("tcp://127.0.0.1:0");
const port = server.name.split(":").at(-1);
const client = await connect(`tcp://localhost:${port}`);
const served = await server.accept();
served.send("hello");
console.log(new TextDecoder().decode(await client.receive()));

// One waits without keeping the process alive, one does not wait; a third is sent away after a while, as its answer is waited for.
void client.unref().receive();
const waiting = process.argv[2] === "wait"
  ? served.receive({ timeoutMs: 100 }).catch((error: { code: string }) => console.log(error.code))
  : undefined;
void waiting;
