/**
 * Looks at the model by hand.
 *
 *   bun tests/simulation/show.ts                              names the mutations
 *   bun tests/simulation/show.ts "<mutation>" [x86|arm64]     prints the shortest trace that breaks the protocol
 *   bun tests/simulation/show.ts large                        explores the large scopes (minutes, gigabytes)
 */

import process from "node:process";
import { explore } from "./explore.ts";
import { MUTATIONS } from "./mutations.ts";
import { oneWay } from "./protocol.ts";
import { BASE, LARGE, machines } from "./scenarios.ts";

const STATES_MAX = 12_000_000;

function large(): void {
  let states = 0;
  for (const { scenario } of LARGE) {
    for (const machine of machines(scenario)) {
      const began = performance.now();
      const result = explore(machine, STATES_MAX);
      states += result.states;
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      console.log(
        `${result.model.padEnd(7)} ${result.states} states, ${result.steps} steps, ${seconds} s: ${result.scenario}: ${
          result.violation?.what ?? "holds"
        }`,
      );
      if (result.violation !== undefined) console.log(result.violation.trace.join("\n"));
    }
  }
  console.log(`${states} states in all`);
}

function show(name: string, model: string): void {
  const mutation = MUTATIONS.find((each) => each.name.includes(name));
  if (mutation === undefined) return console.log(`no mutation is called "${name}"`);
  for (const machine of machines(oneWay({ ...BASE, ...mutation.options, name: mutation.name }, mutation.change))) {
    if (!machine.model.startsWith(model)) continue;
    const { violation, states } = explore(machine, STATES_MAX);
    console.log(`${machine.model}, ${mutation.name}: ${violation?.what ?? "holds"} (${states} states)`);
    for (const line of violation?.trace ?? []) console.log(`    ${line}`);
  }
}

const [wanted, model] = process.argv.slice(2);
if (wanted === undefined) { for (const { name, failsOn } of MUTATIONS) console.log(`${name} (${failsOn.join(", ")})`); }
else if (wanted === "large") large();
else show(wanted, model ?? "");
