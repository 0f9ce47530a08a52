/**
 * The transports in `fable doctor`: a channel of this program's own is moved to each of them and back while messages go there and back over it. What
 * the machine cannot do is skipped by name, with the reason.
 */
import { FableError, isFableError } from "../errors.ts";
import type { TransportName } from "../transport/transport.ts";
import type { Handle } from "../xio/handle.ts";
import { channelPair } from "../xio/pair.ts";
import { type CheckResult, fails, ok, warning } from "./doctor-checks.ts";
import { formatBytes, formatNanoseconds } from "./format.ts";

const MESSAGES = 300;
const LONGEST_BYTES = 65_536;
const MOVE_TIMEOUT_MS = 3000;
const REPORT = "report this with the output of fable doctor --json";

/** Where the channel begins and comes back to. */
const homeOf = (transport: TransportName): TransportName => (transport === "mempipe" ? "unix" : "mempipe");

export async function checkTransport(transport: TransportName): Promise<CheckResult> {
  const home = homeOf(transport);
  const [left, right] = channelPair({ transport: home });
  const load = new Load(left, right);
  try {
    const start = performance.now();
    await load.during(() => left.reconfigure(transport, { timeoutMs: MOVE_TIMEOUT_MS }));
    const where = [left.epochs.outgoing, left.epochs.incoming, right.epochs.outgoing].map((epoch) => epoch.transport);
    if (where.some((one) => one !== transport)) return fails(`the channel is on ${where.join(", ")} now`, REPORT);
    await load.during(() => right.reconfigure(home, { timeoutMs: MOVE_TIMEOUT_MS }));
    const took = formatNanoseconds((performance.now() - start) * 1e6);
    return ok(`moved there from ${home} and back under ${load.messages} messages, ${formatBytes(load.bytes)}, in ${took}`);
  } catch (error) {
    if (!isFableError(error, "UNSUPPORTED_TRANSPORT")) throw error;
    return skipped(error);
  } finally {
    await left.close({ drainDeadlineMs: 0 });
    await right.close({ drainDeadlineMs: 0 });
  }
}

/** What a machine lacks is no failure of FABLE's: channels take another way, and this says which they cannot take. */
export function skipped(error: FableError): CheckResult {
  return warning(`skipped: ${error.message.replace(/\.$/, "")}`, error.remedy ?? "use another transport; nothing else depends on this one");
}

/** Messages of every size that come back as they went, for as long as something else is under way. */
class Load {
  readonly #left: Handle;
  readonly #right: Handle;
  messages = 0;
  bytes = 0;

  constructor(left: Handle, right: Handle) {
    this.#left = left;
    this.#right = right;
  }

  async during(work: () => Promise<void>): Promise<void> {
    let moving = true;
    const moved = work().finally(() => (moving = false));
    // Judged below, when the message under way is through.
    moved.catch(() => {});
    for (let count = 0; count < MESSAGES || moving; count++) {
      await this.#roundTrip();
      // Both ends are in this thread: messages alone would never let the event loop have its turn.
      if (count % 16 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await moved;
  }

  async #echo(): Promise<void> {
    await this.#right.send(await this.#right.receive({ timeoutMs: MOVE_TIMEOUT_MS }) ?? new Uint8Array(0));
  }

  async #roundTrip(): Promise<void> {
    const number = this.messages++;
    const message = new Uint8Array(1 + (number * 6151) % LONGEST_BYTES).fill(number & 0xff);
    // At the same time: a message larger than the ring is sent while it is received.
    const [, answer] = await Promise.all([
      this.#left.send(message),
      this.#left.receive({ timeoutMs: MOVE_TIMEOUT_MS }),
      this.#echo(),
    ]);
    const same = answer !== undefined && answer.length === message.length && answer.every((byte) => byte === (number & 0xff));
    if (!same) throw new FableError("PROTOCOL", `message ${number} came back changed`, { remedy: REPORT });
    this.bytes += message.length;
  }
}
