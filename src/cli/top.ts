/** `fable top`: the live channels, again and again, on a terminal; with --json one line for each look. See top/model.ts for what keys do. */
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { connectNameService } from "../naming/client.ts";
import type { BrokerService } from "../naming/service.ts";
import { loadNative } from "../native/load.ts";
import { CommandFailed, describeFailure } from "./failure.ts";
import type { Output } from "./output.ts";
import { explanationLines } from "./policy.ts";
import { keysOf } from "./top/keys.ts";
import { begin, type Effect, pressed, type Sample, sampled, type State } from "./top/model.ts";
import { draw } from "./top/view.ts";
import { UsageError } from "./usage.ts";
import type { Sort } from "./words.ts";

export interface TopOptions {
  readonly socket?: string;
  /** Between two looks, in seconds. */
  readonly interval: number;
  readonly sort: Sort;
  readonly filter: string;
  /** So many looks, then it ends; without, when somebody quits. */
  readonly count?: number;
}

const CONNECT_TIMEOUT_MS = 500;
const MOVE_TIMEOUT_MS = 5000;
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";

export async function top(output: Output, options: TopOptions): Promise<void> {
  if (output.json) return await report(output, options);
  if (!output.terminal || process.stdin.isTTY !== true) {
    throw new UsageError("top draws on a terminal, and this is none", "use fable flows, or fable top --json for one line a look");
  }
  await new Top(output, options).run();
}

/** For scripts: what `fable flows --json` gives, one line a look. */
async function report(output: Output, { socket, interval, count = Number.POSITIVE_INFINITY }: TopOptions): Promise<void> {
  const broker = new Broker(socket);
  try {
    for (let look = 0; look < count; look++) {
      if (look > 0) await sleep(interval * 1000);
      output.jsonLine({ at: new Date().toISOString(), flows: await (await broker.service()).flows() });
    }
  } finally {
    await broker.close();
  }
}

/** A connection that is made again when the broker was restarted. */
class Broker {
  readonly #socket: string | undefined;
  #service: BrokerService | undefined;

  constructor(socket: string | undefined) {
    this.#socket = socket;
  }

  async service(): Promise<BrokerService> {
    if (this.#service === undefined) {
      const where = this.#socket === undefined ? {} : { socket: this.#socket };
      this.#service = await connectNameService(loadNative(), { start: "never", timeoutMs: CONNECT_TIMEOUT_MS, ...where });
      this.#service.setRef(true);
    }
    return this.#service;
  }

  async close(): Promise<void> {
    await this.#service?.close();
    this.#service = undefined;
  }
}

class Top {
  readonly #output: Output;
  readonly #broker: Broker;
  readonly #looks: number;
  #state: State;
  #last: Sample | undefined;
  #explanation: readonly string[] | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking = false;
  #looked = 0;
  #end: (error?: unknown) => void = () => {};

  constructor(output: Output, options: TopOptions) {
    this.#output = output;
    this.#broker = new Broker(options.socket);
    this.#looks = options.count ?? Number.POSITIVE_INFINITY;
    this.#state = begin(options.interval * 1000, options.sort, options.filter);
  }

  async run(): Promise<void> {
    // A broker that is not there is an error at the start, and news later.
    await (await this.#broker.service()).flows();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#end = (error) => error === undefined ? resolve() : reject(error instanceof Error ? error : new CommandFailed(String(error)));
    const restore = this.#takeTerminal();
    try {
      await this.#look();
      await promise;
    } finally {
      clearTimeout(this.#timer);
      restore();
      await this.#broker.close();
    }
  }

  /** Raw keys and the other screen; the function it answers gives both back. */
  #takeTerminal(): () => void {
    const { stdin, stdout } = process;
    const enter = (): void => {
      stdin.setRawMode(true);
      stdout.write(ENTER);
      this.#draw();
    };
    const leave = (): void => {
      stdout.write(LEAVE);
      stdin.setRawMode(false);
    };
    const hear = (text: string): void => {
      for (const key of keysOf(text)) this.#press(key);
    };
    const quit = (): void => this.#end();
    const resized = (): void => this.#draw();
    stdin.setEncoding("utf8");
    stdin.on("data", hear);
    stdin.on("end", quit);
    stdout.on("resize", resized);
    process.on("SIGTERM", quit);
    process.on("SIGHUP", quit);
    process.on("SIGCONT", enter);
    this.#suspend = () => {
      leave();
      process.kill(process.pid, "SIGSTOP");
    };
    enter();
    return () => {
      process.off("SIGTERM", quit);
      process.off("SIGHUP", quit);
      process.off("SIGCONT", enter);
      stdout.off("resize", resized);
      stdin.off("data", hear);
      stdin.off("end", quit);
      stdin.pause();
      leave();
    };
  }

  #suspend: () => void = () => {};

  #press(key: string): void {
    const { state, effect } = pressed(this.#state, key);
    const paced = state.intervalMs !== this.#state.intervalMs || state.paused !== this.#state.paused;
    this.#state = state;
    if (effect !== undefined) this.#act(effect);
    if (paced) this.#schedule();
    if (effect?.do !== "quit") this.#draw();
  }

  #act(effect: Effect): void {
    switch (effect.do) {
      case "quit":
        return this.#end();
      case "suspend":
        return this.#suspend();
      case "look":
        return void this.#look();
      case "explain":
        return void this.#explain(effect.flow);
      case "move":
        return void this.#move(effect);
    }
  }

  async #explain(flow: string): Promise<void> {
    this.#explanation = undefined;
    try {
      const service = await this.#broker.service();
      const names = (await service.flows()).find((entry) => entry.flow === flow)?.names ?? ["?", "?"];
      this.#explanation = explanationLines(names, await service.explain(flow));
    } catch (error) {
      this.#explanation = [describeFailure(error).sentence];
    }
    this.#draw();
  }

  async #move({ flow, transport }: Extract<Effect, { do: "move" }>): Promise<void> {
    try {
      await (await this.#broker.service()).reconfigureFlow(flow, transport, MOVE_TIMEOUT_MS);
      this.#tell(`${flow} moved to ${transport}`);
    } catch (error) {
      this.#tell(describeFailure(error).sentence);
    }
    await this.#look();
  }

  #tell(notice: string): void {
    this.#state = { ...this.#state, notice };
    this.#draw();
  }

  /** One look at the broker, and when the next one is. */
  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      const flows = await (await this.#broker.service()).flows();
      const sample = { atMs: performance.now(), flows };
      this.#state = sampled(this.#state, sample, this.#last);
      this.#last = sample;
    } catch (error) {
      this.#state = { ...this.#state, notice: describeFailure(error).sentence };
    } finally {
      this.#looking = false;
    }
    this.#looked += 1;
    this.#draw();
    if (this.#looked >= this.#looks) this.#end();
    else this.#schedule();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (!this.#state.paused) this.#timer = setTimeout(() => void this.#look(), this.#state.intervalMs);
  }

  #draw(): void {
    const { columns = 80, rows = 24 } = process.stdout;
    const lines = draw(this.#state, {
      columns,
      lines: rows,
      colours: this.#output.colours,
      clock: new Date().toTimeString().slice(0, 8),
      explanation: this.#explanation,
    });
    // Line by line over what is there: a screen that is cleared first flickers over a slow connection.
    process.stdout.write(`\x1b[H${lines.map((line) => `${line}\x1b[K`).join("\r\n")}`);
  }
}
