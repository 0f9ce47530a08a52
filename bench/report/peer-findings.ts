/** What stands out beside the peers. */
import { peerName } from "./figures/peers.ts";
import { counted, factor, size } from "./format.ts";
import type { ReadPeer } from "./input.ts";
import type { Finding } from "./surprises/finding.ts";

/** `peers` as `withRatios` has them. */
export function peerFindings(peers: readonly ReadPeer[]): readonly Finding[] {
  const compared = peers.flatMap((peer) => (peer.ratio === undefined ? [] : [{ peer, ratio: peer.ratio }])).toSorted((a, b) =>
    a.ratio - b.ratio
  );
  const [worst, best] = [compared[0], compared.at(-1)];
  if (worst === undefined || best === undefined) return [];
  const behind = compared.filter(({ ratio }) => ratio < 1).length;
  const what = ({ peer }: { readonly peer: ReadPeer }): string =>
    `${peerName(peer)}, ${peer.kind === "lat" ? "latency" : "throughput"} at ${size(peer.size_bytes)}`;
  const range = `from ${factor(worst.ratio)} times (${what(worst)}) to ${factor(best.ratio)} times (${what(best)})`;
  const sentence = behind === 0
    ? `FABLE is ahead in all ${counted(compared.length, "comparison with a peer", "comparisons with peers")}: ${range}.`
    : `FABLE is behind in ${behind} of ${counted(compared.length, "comparison with a peer", "comparisons with peers")}: ${range} as good.`;
  return [{ sentence, figure: "peers" }];
}
