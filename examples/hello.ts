/** The smallest program: a name, a connection to it, a message each way. Both ends may as well be two programs, in either runtime. */
import { connect, listen } from "../mod.ts";

const listener = await listen("xio://greeter");
const [server, client] = await Promise.all([listener.accept(), connect("xio://greeter")]);

client.send("hello");
const greeting = await server.receive();
server.send(`you said ${new TextDecoder().decode(greeting)}`);
console.log(new TextDecoder().decode(await client.receive()));

await Promise.all([client.close(), server.close(), listener.close()]);
