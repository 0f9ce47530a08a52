/** `for await (const message of handle)`. */
import type { Handle, Yielder } from "./handle.ts";
import type { Inbox } from "./inbox.ts";

type Message = Uint8Array<ArrayBuffer>;
const DONE: IteratorResult<Message> = { value: undefined, done: true };

export class MessageIterator implements AsyncIterableIterator<Message> {
  readonly #inbox: Inbox;
  readonly #yield: Yielder;
  /** Keeps the handle from being collected while it is iterated. */
  readonly #handle: Handle;

  constructor(handle: Handle, inbox: Inbox, yielder: Yielder) {
    this.#handle = handle;
    this.#inbox = inbox;
    this.#yield = yielder;
  }

  next(): Promise<IteratorResult<Message>> {
    const value = this.#inbox.take();
    if (value === undefined) return this.#wait();
    return this.#yield.due() ? this.#yield.turn().then(() => ({ value, done: false })) : Promise.resolve({ value, done: false });
  }

  return(): Promise<IteratorResult<Message>> {
    return Promise.resolve(DONE);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #wait(): Promise<IteratorResult<Message>> {
    const value = await this.#inbox.receive(this.#handle, undefined, undefined);
    return value === undefined ? DONE : { value, done: false };
  }

  get handle(): Handle {
    return this.#handle;
  }
}
