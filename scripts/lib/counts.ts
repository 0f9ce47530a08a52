/** Counts of passed and failed tests, from what each kind of runner reports. */

export interface Counts {
  readonly passed: number;
  readonly failed: number;
}

/**
 * Leaf tests of a JUnit report. A group counts through its members: Deno lists it beside them ("group", "group > member"), Bun does not.
 */
export function junitCounts(xml: string): Counts {
  const cases = [...xml.matchAll(/<testcase name="([^"]*)"[^>]*?(?:\/>|>([\s\S]*?)<\/testcase>)/g)]
    .map(([, name = "", body = ""]) => ({ name, failed: /<(failure|error)\b/.test(body), skipped: /<skipped\b/.test(body) }));
  const groups = new Set(cases.map(({ name }) => name.split(" &gt; ").slice(0, -1).join(" &gt; ")));
  const isGroup = ({ name }: { name: string }) => groups.has(name);
  const leaves = cases.filter((one) => !isGroup(one) && !one.skipped);
  const failed = leaves.filter((one) => one.failed).length;
  // A group may fail by itself, in a hook.
  const failedGroups = failed === 0 ? cases.filter((one) => isGroup(one) && one.failed).length : 0;
  return { passed: leaves.length - failed, failed: failed + failedGroups };
}

/** Tests run by `zig build test --summary all`; undefined if nothing was compiled far enough to run. */
export function zigCounts(output: string): Counts | undefined {
  const summary = /Build Summary:.*?(\d+)\/(\d+) tests passed/.exec(output);
  if (summary === null) return undefined;
  const [passed, all] = [Number(summary[1]), Number(summary[2])];
  const skipped = Number(/(\d+) skipped/.exec(output.slice(summary.index))?.[1] ?? 0);
  return { passed, failed: all - passed - skipped };
}

/** A runner that ended badly without a failed test failed as a whole. */
export function atLeastOneFailure(counts: Counts, exitCode: number | null): Counts {
  return exitCode !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

export function sum(all: readonly Counts[]): Counts {
  return all.reduce((total, one) => ({ passed: total.passed + one.passed, failed: total.failed + one.failed }), { passed: 0, failed: 0 });
}

/** The plain closing line of every runner of this project. */
export function closingLine({ passed, failed }: Counts): string {
  return `${passed} passed, ${failed} failed`;
}
