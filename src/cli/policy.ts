/** `fable policy`: who moves channels, the broker's policy or people; and why the policy thinks what it does of one of them. */
import type { Explanation } from "../policy/explain.ts";
import { formatBytes, formatNanoseconds, formatRate } from "./format.ts";
import { withNameService } from "./open.ts";
import type { Output } from "./output.ts";
import { findFlow } from "./reconfigure.ts";

export interface PolicyOptions {
  readonly socket?: string;
}

export async function setPolicy(
  output: Output,
  mode: "auto" | "manual",
  wanted: string | undefined,
  options: PolicyOptions,
): Promise<void> {
  await withNameService(options.socket, async (service) => {
    const flow = wanted === undefined ? undefined : findFlow(await service.flows(), wanted).flow;
    await service.policy(mode, flow);
    output.value({ mode, flow: flow ?? null });
    const whom = flow ?? "All channels";
    output.line(mode === "auto" ? `${whom}: moved by the policy from now on.` : `${whom}: moved by nobody but people from now on.`);
  });
}

export async function explainPolicy(output: Output, wanted: string, options: PolicyOptions): Promise<void> {
  await withNameService(options.socket, async (service) => {
    const entry = findFlow(await service.flows(), wanted);
    const explanation = parseExplanation(await service.explain(entry.flow));
    output.value({ flow: entry.flow, names: entry.names, reason: entry.reason, since: entry.since, ...explanation });
    for (const line of sentences(entry.names, explanation)) output.line(line);
    output.line("");
    await output.table(
      HEADER,
      explanation.candidates.map((candidate) => [
        candidate.transport,
        candidate.ns_per_message === null ? "?" : formatNanoseconds(candidate.ns_per_message),
        candidate.cost === null ? "?" : `${(candidate.cost * 100).toPrecision(3)} %`,
        candidate.ruled_out ?? (candidate.transport === explanation.current.transport
          ? "what it has"
          : `${Math.round(candidate.earned * 100)} % of a move earned`),
      ]),
    );
  });
}

function parseExplanation(text: string): Explanation {
  return JSON.parse(text) as Explanation;
}

/** Everything in lines, for where no table fits. */
export function explanationLines(names: readonly [string, string], text: string): readonly string[] {
  const explanation = parseExplanation(text);
  const costs = explanation.candidates.filter(({ ruled_out: out }) => out === null).map(({ transport, ns_per_message: ns }) =>
    `${transport} ${ns === null ? "?" : formatNanoseconds(ns)}`
  );
  return [...sentences(names, explanation), `a message over ${costs.join(", ")}`];
}

const HEADER = ["TRANSPORT", "A MESSAGE", "OF THE TIME", ""];

/** The facts and the choice, in words. */
export function sentences(names: readonly [string, string], explanation: Explanation): readonly string[] {
  const { facts, choice, current } = explanation;
  const share = (value: number) => `${Math.round(value * 100)} %`;
  return [
    `${names[0]} – ${names[1]}: ${current.transport}, ${formatBytes(current.ring_bytes)} of memory each way, ${current.trust}`,
    ...facts.directions.map((one, side) =>
      `from ${names[side] ?? ""}: ${formatRate(one.msgs_per_s)} of ${formatBytes(Math.round(one.mean_bytes))}, blocked ${
        share(one.blocked_share)
      } of the time`
    ),
    ...facts.ends.map((end, side) =>
      `${names[side] ?? ""} on CPU ${end.cpu ?? "?"}: runs ${share(end.ran_share)}, waits for it ${
        share(end.run_delay_share)
      }; others there ${share(end.other_busy_share)}`
    ),
    `on one core ${share(facts.same_core_share)}, like question and answer ${share(facts.request_share)}, load ${share(facts.load)}`,
    `best: ${choice.reason}`,
    `where to run: ${choice.coscheduling.reason}`,
    `table: ${explanation.table}${doubted(explanation.doubt)}`,
    explanation.held === null
      ? `${explanation.mode}: ${explanation.moves_in_hand} moves in hand`
      : `${explanation.mode}: nothing is decided, because ${explanation.held}`,
  ];
}

/** The table promised something that did not come. */
function doubted(factor: number): string {
  return factor <= 1 ? "" : `; doubted here, because a move was for the worse: only ${factor} times better counts`;
}
