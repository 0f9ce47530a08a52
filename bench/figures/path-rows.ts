/** Rows of the mechanisms and of moving between them: silences, plain loops, ratios to TCP, JavaScript against native. */
import { HEADER_BYTES } from "../../src/transport/records.ts";
import type { TransportName } from "../../src/transport/transport.ts";
import { ringFor } from "../runner/cells.ts";
import type { RuntimeName } from "../runner/checkout.ts";
import { nativeGap, nativeRate, placementOf } from "../runner/native.ts";
import { pairRates } from "../runner/pairs.ts";
import { median } from "../runner/statistics.ts";
import { around, type Cores, inTurn } from "./native-rows.ts";
import type { Measured, Row } from "./row.ts";

const SECONDS = 0.15;
const MOVES = 200;
const RUNS = 3;

/**
 * What the authors of the paper measured with their benchmark (avsm/ipc-bench) on a machine of this kind, in GB/s, each with their TCP of the
 * same size: only the ratios are used.
 */
const AUTHORS: Readonly<Record<string, readonly [ours: number, tcp: number]>> = {
  "pipe 65536": [1.52, 3.65],
  "vmsplice-coop 65536": [1.07, 3.65],
  "shmem-pipe 4096": [12.8, 2.16],
  "shmem-pipe 65536": [12.0, 3.65],
  "mempipe 64": [1.11, 0.1],
};

export function pathRows(cores: Cores): readonly Row[] {
  const kernel: readonly TransportName[] = ["unix", "tcp", "pipe"];
  const large: readonly TransportName[] = ["mempipe", "unix", "tcp", "pipe", "vmsplice-coop", "shmem-pipe"];
  return [
    silence(cores, "mempipe", "mempipe-spin", "p50", 50, 10),
    silence(cores, "mempipe", "mempipe-spin", "p99", 500, 100),
    ...(["unix", "tcp", "pipe", "vmsplice-coop", "shmem-pipe"] as const).map((to) => silence(cores, "mempipe", to, "p99", 2000, 500)),
    ...kernel.flatMap((transport) => [64, 4096, 65_536].map((size) => plain(cores, transport, size))),
    overTcp(cores, "pipe", 65_536, 2, 4),
    overTcp(cores, "vmsplice-coop", 65_536, 2, 4),
    overTcp(cores, "shmem-pipe", 4096, 1, 2),
    overTcp(cores, "shmem-pipe", 65_536, 1, 2),
    overTcp(cores, "mempipe", 64, 3, 10),
    ...(["bun", "deno"] as const).flatMap((runtime) => large.map((transport) => script(cores, runtime, transport))),
  ];
}

/** The longest silence around a move, less the 99th percentile of all pauses while nothing moves. */
function silence(cores: Cores, from: TransportName, to: TransportName, which: "p50" | "p99", must: number, reach: number): Row {
  return {
    title: "silence at a move, native, over the p99 pause without one",
    cell: `${from} ⇄ ${to}, ${which}`,
    sense: "≤",
    unit: "µs",
    must,
    reach,
    async run() {
      const got = await nativeGap({ transport: from, to, cores: cores.join(","), "round-trips": MOVES });
      const found = which === "p50" ? got.moves_p50_ns : got.moves_p99_ns;
      const parts = {
        move_ns: found,
        pause_p99_ns: got.base_p99_ns,
        as_long_without_a_move_ns: which === "p50" ? got.windows_p50_ns : got.windows_p99_ns,
      };
      return { value: { value: (found - got.base_p99_ns) / 1000, parts }, placement: placementOf(got) };
    },
  };
}

async function rate(cores: Cores, transport: string, size: number, batch: number, check: "plain" | "sequence"): Promise<number> {
  const got = await nativeRate({
    transport,
    size,
    ring: ringFor(size),
    batch,
    check,
    cores: cores.join(","),
    seconds: SECONDS,
    runs: RUNS,
    placement: "no",
  });
  return got.msgs_per_s;
}

/** A program that would write the same system calls by hand: as many messages per call, of one length and so without a header. */
function plain(cores: Cores, transport: TransportName, size: number): Row {
  const batch = size === 64 ? 16 : 1;
  return {
    title: "kernel transports, native, over a plain loop of the same calls",
    cell: `${transport}, ${size} B${batch === 1 ? "" : `, by ${batch}`}`,
    sense: "≥",
    unit: "×",
    must: 0.95,
    reach: 1,
    run: (forth) =>
      around(cores, async (): Promise<Measured> => {
        const measure = (name: string) => () => rate(cores, name, size, batch, "sequence");
        const [ours, theirs] = await inTurn(forth, measure(transport), measure(`raw-${transport}`));
        const asManyBytes = await rate(cores, `raw-${transport}`, size + HEADER_BYTES, batch, "sequence");
        return { value: ours / theirs, parts: { fable_per_s: ours, plain_per_s: theirs, plain_with_headers_per_s: asManyBytes } };
      }),
  };
}

function overTcp(cores: Cores, transport: TransportName, size: number, must: number, reach: number): Row {
  const [theirs, theirTcp] = AUTHORS[`${transport} ${size}`] ?? [Number.NaN, 1];
  return {
    title: "ratio to tcp, native, plain read, over the authors' ratio",
    cell: `${transport}, ${size} B`,
    sense: "≥",
    unit: "×",
    must,
    reach,
    run: (forth) =>
      around(cores, async (): Promise<Measured> => {
        const measure = (name: string) => () => rate(cores, name, size, 1, "sequence");
        const [ours, tcp] = await inTurn(forth, measure(transport), measure("tcp"));
        return { value: ours / tcp / (theirs / theirTcp), parts: { fable_per_s: ours, tcp_per_s: tcp } };
      }),
  };
}

function script(cores: Cores, runtime: RuntimeName, transport: TransportName): Row {
  const size = 4096;
  return {
    title: "from JavaScript, 4 KiB in place, over native",
    cell: `${runtime}, ${transport}`,
    sense: "≥",
    unit: "×",
    must: 0.5,
    reach: 0.8,
    run: (forth) =>
      around(cores, async (): Promise<Measured> => {
        const ringBytes = ringFor(size);
        const workload = "zero-copy";
        const measure = async (): Promise<number> =>
          median(
            (await pairRates({
              runtimes: [runtime, runtime],
              workload,
              transport,
              sizeBytes: size,
              ringBytes,
              batch: 1,
              cores,
              runs: RUNS,
            })).rates,
          );
        // JavaScript's reader looks at one word of each cache line: natively every byte is read, which fetches as many.
        const [ours, native] = await inTurn(forth, measure, () => rate(cores, transport, size, 1, "plain"));
        const oneWord = await rate(cores, transport, size, 1, "sequence");
        return { value: ours / native, parts: { javascript_per_s: ours, native_per_s: native, native_one_word_read_per_s: oneWord } };
      }),
  };
}
