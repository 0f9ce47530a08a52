/** The words a command line may use for transports, trust and drivers: names only, so that parsing them loads nothing. */
import { TRANSPORT_NAMES, type TransportName, type Trust } from "../transport/transport.ts";

export { TRANSPORT_NAMES as TRANSPORTS } from "../transport/transport.ts";
/** What `fable bench` measures beside them: interrupting the other core, the lower bound of waking it. */
export type BenchTransport = TransportName | "ipi";
export const BENCH_TRANSPORTS: readonly BenchTransport[] = [...TRANSPORT_NAMES, "ipi"];
/** What rows of `fable top` may be ordered by. */
export const SORTS = ["rate", "bytes", "blocked", "wake-ups", "flow", "transport"] as const;
export type Sort = (typeof SORTS)[number];
export const TRUSTS: readonly Trust[] = ["trusted", "untrusted"];
export const DRIVERS = ["native", "bun", "deno", "bun-deno", "deno-bun"] as const;
export type Driver = (typeof DRIVERS)[number];
