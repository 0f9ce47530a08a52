/** bench/compare, what of it is pure: command lines that a shell takes, and what is made of their times. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { benching, CAT_CAT, COLD, FABLE_CAT, moving, type Places, quoted, SOCAT_UNIX, starting } from "../../bench/compare/commands.ts";
import { type CompareReport, limitsOf, markdown, notTimed, timed, type TimedGroup } from "../../bench/compare/report.ts";

const PLACES: Places = {
  fable: "/opt/it's here/fable",
  folder: "/tmp/compare",
  file: "/tmp/a file",
  sum: "/tmp/compare/sum",
  broker: "/tmp/compare/broker.sock",
  tcpPort: 4711,
};

function sh(line: string): number | null {
  return spawnSync("sh", ["-c", line], { stdio: "ignore" }).status;
}

describe("comparing whole commands", () => {
  test("a shell takes every line, and paths may have spaces and quotes", () => {
    const groups = [moving(PLACES, 1000), starting(PLACES), benching(PLACES, ["mempipe", "unix"], 1000, 64)];
    for (const { name, line, checked } of groups.flatMap(({ commands }) => commands)) {
      for (const text of [line, checked ?? ""]) assert.equal(spawnSync("sh", ["-n", "-c", text]).status, 0, `${name}: ${text}`);
    }
    assert.equal(spawnSync("sh", ["-c", `printf %s ${quoted('it\'s "here" $HOME')}`], { encoding: "utf8" }).stdout, 'it\'s "here" $HOME');
    assert.equal(new Set(groups.flatMap(({ commands }) => commands.map(({ name }) => name))).size, 10);
  });

  test("a pair fails when either end does, and moves what the check hashes", () => {
    const folder = mkdtempSync(join(tmpdir(), "compare test "));
    try {
      // stands for fable: the listener writes what the other end left for it
      const program = (name: string, ends: { readonly listen: string; readonly send: string }): string => {
        const path = join(folder, name);
        writeFileSync(path, `#!/bin/sh\ncase "$*" in *--listen*) ${ends.listen} ;; *) ${ends.send} ;; esac\n`, { mode: 0o755 });
        return path;
      };
      const kept = quoted(join(folder, "kept"));
      const deaf = program("deaf", { listen: "exit 3", send: "exit 0" });
      const mute = program("mute", { listen: "exec sleep 20", send: "exit 1" });
      const good = program("good", {
        listen: `while [ ! -e ${kept} ]; do :; done; cat ${kept}`,
        send: `cat > ${kept}.new; mv ${kept}.new ${kept}`,
      });
      const file = join(folder, "file");
      writeFileSync(file, "some bytes");
      const of = (fable: string) =>
        moving({ ...PLACES, fable, file, sum: join(folder, "sum") }, 10).commands.find(({ name }) => name === FABLE_CAT);
      assert.notEqual(sh(of(deaf)?.line ?? ""), 0);
      assert.notEqual(sh(of(mute)?.line ?? ""), 0);
      assert.equal(sh(of(good)?.checked ?? "exit 1"), 0);
      assert.match(readFileSync(join(folder, "sum"), "utf8"), /^0d22cdcc1[0-9a-f]{55} /);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  const groups = (fable: number, cat: number, socat: number, cold: number): readonly TimedGroup[] => [{
    title: "moving",
    bytes: 1e9,
    commands: [
      timed(FABLE_CAT, "f", [fable, fable * 1.1, fable * 0.9], 1e9),
      timed(CAT_CAT, "c", [cat], 1e9),
      timed(SOCAT_UNIX, "s", [socat], 1e9),
    ],
  }, { title: "starting", commands: [timed(COLD, "x", [cold], undefined)] }];

  test("what must hold is judged by medians, and what was not measured is missed", () => {
    assert.deepEqual(limitsOf(groups(0.4, 0.4, 0.8, 0.12)).map(({ holds }) => holds), [true, true, true]);
    assert.deepEqual(limitsOf(groups(0.4, 0.36, 0.79, 0.121)).map(({ holds }) => holds), [false, false, false]);
    const [over, under, cold] = limitsOf(groups(0.5, 0.4, 2, 0.1));
    assert.deepEqual([over?.value, under?.value, cold?.value], [4, 1.25, 100]);
    const none = limitsOf([{ title: "moving", commands: [notTimed(FABLE_CAT, "f", "no such file")] }]);
    assert.deepEqual(none.map(({ holds, value }) => [holds, value]), [[false, null], [false, null], [false, null]]);
  });

  test("the page says times, rates, ratios and why something has none", () => {
    const measured = [...groups(0.5, 0.4, 2, 0.1), { title: "more", commands: [notTimed("tcp", "t", "no port\nat all")] }];
    const report = {
      environment: { date: "2026-01-02T03:04:05Z", load_before: 0.1 },
      quick: true,
      groups: measured,
      limits: limitsOf(measured),
    };
    const page = markdown(report as unknown as CompareReport);
    assert.match(page, /^\| fable cat \| 500 ms \(450–550; 3\) \| 2\.00 \| 1\.25× \|$/m);
    assert.match(page, /^\| fable cat, no broker runs \| 100 ms \(100–100; 1\) \| 1\.00× \|$/m);
    assert.match(page, /^\| tcp \| no port \| – \|$/m);
    assert.match(page, /^\| fable cat over cat \\\| cat \| ≤ 1\.1× \| 1\.25× \| \*\*missed\*\* \|$/m);
    assert.match(page, /^\| cat \\\| cat \| 400 ms/m);
    assert.match(page, /2026-01-02 03:04 UTC/);
  });
});
