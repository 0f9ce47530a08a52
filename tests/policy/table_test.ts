/** The calibration table: what is let in, and what costs are read out of it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TRANSPORT_NAMES } from "../../src/naming/transports.ts";
import { BUILT_IN_TABLE } from "../../src/policy/builtin.ts";
import { TRANSPORTS } from "../../src/policy/facts.ts";
import { CostModel, fits, parseTable, type Situation, type Table } from "../../src/policy/table.ts";
import { MODEL, rows, TABLE } from "./support.ts";

const PLAIN: Situation = { trust: "trusted", bytes: 64, request: 0, together: 0, load: 0 };

test("policy knows the transports that the library knows", () => assert.deepEqual([...TRANSPORTS].sort(), [...TRANSPORT_NAMES].sort()));

describe("what is a table", () => {
  const text = (change: (table: { -readonly [K in keyof Table]: Table[K] }) => void) => {
    const table = structuredClone(TABLE) as { -readonly [K in keyof Table]: Table[K] };
    change(table);
    return parseTable(JSON.stringify(table));
  };
  test("one that was written is read back", () => assert.deepEqual(parseTable(JSON.stringify(TABLE)), { table: TABLE }));
  test("another version, text that is none, and rows that cannot be are refused with a reason", () => {
    const [first] = rows();
    assert.ok(first !== undefined);
    const bad: readonly (readonly [RegExp, ReturnType<typeof parseTable>])[] = [
      [/JSON/, parseTable("{")],
      [/version/, text((table) => (table.version = 2))],
      [/mempipe/, text((table) => (table.rows = []))],
      [/twice/, text((table) => (table.rows = [...table.rows, first]))],
      [/ns/, text((table) => (table.rows = [{ ...first, ns: [0, 1, 1, 1] }]))],
      [/as many/, text((table) => (table.rows = [{ ...first, ns: [1] }]))],
      [/grow/, text((table) => (table.rows = [{ ...first, sizes_bytes: [64, 64, 65, 66] }]))],
      [/trust/, text((table) => (table.rows = [...table.rows.slice(1), { ...first, trust: "n/a" }]))],
      [/untrusted/, text((table) => (table.rows = [{ ...first, transport: "vmsplice-coop", trust: "untrusted" }]))],
    ];
    for (const [why, result] of bad) {
      assert.ok("problem" in result);
      assert.match(result.problem, why);
    }
  });
  test("it belongs to a machine and a kernel", () => {
    const { machine } = TABLE;
    assert.ok(machine !== null);
    assert.ok(fits(TABLE, { ...machine }));
    for (const other of [{ kernel: "6.19" }, { cpus: 4 }, { processor: "another" }, { hypervisor: "kvm" }]) {
      assert.ok(!fits(TABLE, { ...machine, ...other }));
    }
    assert.ok(!fits({ ...TABLE, machine: null }, machine));
  });
});

test("what a line costs between two CPUs, whichever is named first", () => {
  const model = new CostModel({ ...TABLE, lines: [{ cpus: [0, 1], ns: 46 }] });
  assert.deepEqual([model.lineNs(0, 1), model.lineNs(1, 0), model.lineNs(0, 2)], [46, 46, undefined]);
});

describe("costs", () => {
  const ns = (more: Partial<Situation>, transport: (typeof TRANSPORTS)[number] = "unix") =>
    MODEL.nsPerMessage(transport, { ...PLAIN, ...more }) ?? 0;
  test("at measured sizes they are those measured", () => {
    for (const row of rows()) {
      if (row.load === "hog") continue;
      for (const [at, bytes] of row.sizes_bytes.entries()) {
        const found = MODEL.nsPerMessage(row.transport, {
          trust: row.trust === "untrusted" ? "untrusted" : "trusted",
          bytes,
          request: row.pattern === "request" ? 1 : 0,
          together: row.placement === "same" ? 1 : 0,
          load: 0,
        });
        assert.ok(Math.abs((found ?? 0) / (row.ns[at] ?? 1) - 1) < 1e-9);
      }
    }
  });
  test("between sizes they lie between, below they stay, beyond they grow with the size", () => {
    assert.ok(ns({ bytes: 1000 }) > ns({ bytes: 64 }) && ns({ bytes: 1000 }) < ns({ bytes: 4096 }));
    assert.equal(ns({ bytes: 1 }), ns({ bytes: 64 }));
    assert.ok(Math.abs(ns({ bytes: 2 ** 23 }) / ns({ bytes: 2 ** 20 }) - 8) < 1e-9);
  });
  test("mixtures are averages", () => {
    const half = (key: "request" | "together" | "load") => [ns({ [key]: 0 }), ns({ [key]: 0.5 }), ns({ [key]: 1 })] as const;
    for (const key of ["request", "together", "load"] as const) {
      const [none, some, all] = half(key);
      assert.ok(Math.abs(some - (none + all) / 2) < 1e-6 && none !== all);
    }
  });
  test("what was not measured is not known, and a load that was not is no load", () => {
    const model = new CostModel({ ...TABLE, rows: rows().filter((row) => row.transport !== "tcp" && row.load !== "hog") });
    assert.equal(model.nsPerMessage("tcp", PLAIN), undefined);
    assert.equal(model.nsPerMessage("unix", { ...PLAIN, load: 1 }), model.nsPerMessage("unix", PLAIN));
  });
  test("trust matters where memory is lent only", () => {
    assert.ok(ns({ trust: "untrusted", bytes: 4096 }, "mempipe") > ns({ bytes: 4096 }, "mempipe"));
    assert.equal(ns({ trust: "untrusted", bytes: 4096 }), ns({ bytes: 4096 }));
    assert.equal(MODEL.nsPerMessage("vmsplice-coop", { ...PLAIN, trust: "untrusted" }), undefined);
  });
});

describe("the table that is brought along", () => {
  const model = new CostModel(BUILT_IN_TABLE);
  const ns = (transport: (typeof TRANSPORTS)[number], more: Partial<Situation>) =>
    model.nsPerMessage(transport, { ...PLAIN, ...more }) ?? Infinity;

  test("is one that the policy would take from a file, and says that nobody measured it", () => {
    assert.deepEqual(parseTable(JSON.stringify(BUILT_IN_TABLE)), { table: BUILT_IN_TABLE });
    assert.equal(model.measured, false);
    assert.equal(BUILT_IN_TABLE.rows.length, 13 * 8);
  });
  test("knows what all machines have in common", () => {
    for (const bytes of [64, 4096]) {
      const request = { request: 1, bytes };
      assert.ok(
        ns("mempipe-spin", { ...request, together: 1 }) > 50 * ns("mempipe-futex", { ...request, together: 1 }),
        "a spin on one core",
      );
      assert.ok(ns("mempipe-spin", { ...request, load: 1 }) > 10 * ns("mempipe-futex", { ...request, load: 1 }), "a spin beside a hog");
      assert.ok(ns("mempipe-futex", request) > 3 * ns("mempipe-futex", { ...request, together: 1 }), "a sleep across cores");
    }
    assert.ok(ns("shmem-pipe", { bytes: 2 ** 20 }) < ns("unix", { bytes: 2 ** 20 }));
    assert.ok(ns("mempipe", { trust: "untrusted", bytes: 65_536 }) > ns("mempipe", { bytes: 65_536 }));
  });
});
