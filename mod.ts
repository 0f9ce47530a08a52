/**
 * FABLE: message channels between processes that pick, and keep re-picking, the fastest safe way.
 *
 * A program names its peer; FABLE chooses how messages travel. Messages are reliable, ordered, bounded and keep their boundaries, both ways.
 *
 * ```ts
 * import { connect, listen } from "fable";
 *
 * const listener = await listen("xio://greeter");              // one program
 * const visitor = connect("xio://greeter");                    // another, or the same
 *
 * await using server = await listener.accept();
 * await using client = await visitor;
 * client.send("hello");
 * console.log(new TextDecoder().decode(await server.receive())); // hello
 * await listener.close();
 * ```
 *
 * Three ways to use a {@link Handle}, freely mixed: messages (`send`, `receive`, `for await`), buffers lent in place (`getWriteBuf`, `commit`,
 * `getReadBuf`, `release`: Table 2 of the paper), and allocation-free cursors (`writer()`, `reader()`).
 *
 * @module
 */

// Names and connections
export { connect, type Context, listen, registerName, type RegisterOptions } from "./src/xio/context.ts";
export type { Listener } from "./src/xio/listener.ts";
export type { ChannelOptions, ConnectOptions, ListenOptions, SessionOptions } from "./src/xio/options.ts";
export { channelPair, type PairOptions } from "./src/xio/pair.ts";
export { type ChannelPort, channelPort, openPort, type PortAndHandle } from "./src/xio/port.ts";

// The outside world: tcp://host:port, udp://host:port, unix:/path
export { isOutsideName, type OutsideName } from "./src/naming/outside.ts";
export type { Endpoint } from "./src/xio/endpoint.ts";
export type { OutsideClosedReason } from "./src/xio/outside/connection.ts";
export type { OutsideHandle, OutsideHandleStats } from "./src/xio/outside/handle.ts";
export type { OutsideListener } from "./src/xio/outside/listener.ts";
export type { OutsideConnectOptions, OutsideListenOptions, OutsideOptions } from "./src/xio/outside/options.ts";

// One end of a channel
export type { Buffer, ReadBuffer, WriteBuffer } from "./src/xio/buffer.ts";
export type { Peer } from "./src/xio/connection.ts";
export type { Reader, Writer } from "./src/xio/cursor.ts";
export type { Epochs, Handle, HandleStats, ReconfigureOptions } from "./src/xio/handle.ts";
export { type ClosedCode, type ClosedReason, EMPTY, ENDED, ENOSPACE } from "./src/xio/outcomes.ts";
export type { Reconfiguration, Reconfigurations } from "./src/xio/reconfigurations.ts";

// Waiting for several at once
export type { WaitLimits } from "./src/xio/limits.ts";
export { type Pollable, type PollEntry, type Ready, xpoll, xpollSync } from "./src/xio/poll.ts";

// What everything throws, and the words of transports and trust
export { type ErrorCode, FableError, isFableError } from "./src/errors.ts";
export type { TransportName, Trust } from "./src/transport/transport.ts";
