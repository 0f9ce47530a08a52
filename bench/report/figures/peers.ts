/** What a user would pick today instead, on the same cores in the same run, and how many times as good FABLE is. */
import { alike, classOf } from "../../runner/placement.ts";
import { groupBy } from "../analysis.ts";
import { messagesPerSecond, size, time, times } from "../format.ts";
import { html, table } from "../html.ts";
import { namePeer, type ReadPeer } from "../input.ts";
import { type Lane, points } from "./bars.ts";
import type { Figure, Panel } from "./figure.ts";
import { maybe } from "./latency.ts";

/** Undefined if the placement changed: then its ratio is none. */
export function peerPlacement({ cores, placement_before_ns: before, placement_after_ns: after }: ReadPeer): string | undefined {
  if (cores[0] === cores[1]) return "same core";
  if (before === null && after === null) return "across cores";
  return alike({ before, after }) ? classOf(before) : undefined;
}

export function peerValue(peer: ReadPeer): number | undefined {
  return peer.kind === "lat" ? peer.p50_ns : peer.msgs_per_s;
}

/**
 * The peers with the ratio that may be shown: the file's, else that of the two figures; none where the placement changed, or where FABLE's own figure, which the
 * file has among the peers, was measured in another placement.
 */
export function withRatios(peers: readonly ReadPeer[]): readonly ReadPeer[] {
  return peers.map((peer) => {
    const { ratio: _, ...rest } = peer;
    const ratio = unlike(peer, peers) ? undefined : peer.ratio ?? ratioOf(peer);
    return ratio === undefined ? rest : { ...rest, ratio };
  });
}

function ratioOf(peer: ReadPeer): number | undefined {
  const theirs = peerValue(peer);
  if (theirs === undefined || peer.ours === undefined) return undefined;
  return peer.kind === "lat" ? theirs / peer.ours.value : peer.ours.value / theirs;
}

function unlike(peer: ReadPeer, peers: readonly ReadPeer[]): boolean {
  const placement = peerPlacement(peer);
  if (placement === undefined) return true;
  const own = peers.find((other) =>
    isOurs(other) && other.runtime === peer.ours?.driver && other.kind === peer.kind && other.size_bytes === peer.size_bytes
    && other.cores.join() === peer.cores.join()
  );
  return own !== undefined && peerPlacement(own) !== placement;
}

/** FABLE's own figures stand among those of the peers. */
export function isOurs({ peer, ours }: ReadPeer): boolean {
  return ours === undefined && peer.toLowerCase() === "fable";
}

export function peerName({ peer, runtime }: ReadPeer): string {
  return namePeer(peer, runtime);
}

function valueText(kind: "lat" | "thr", value: number): string {
  return kind === "lat" ? time(value) : messagesPerSecond(value);
}

/** `peers` as `withRatios` has them. */
export function peersFigure(peers: readonly ReadPeer[]): Figure | undefined {
  if (peers.length === 0) return undefined;
  const compared = peers.filter(({ ratio }) => ratio !== undefined)
    .toSorted((a, b) => (a.kind === b.kind ? a.size_bytes - b.size_bytes : a.kind === "lat" ? -1 : 1));
  const groups = groupBy(compared, (peer) => `${peer.kind}|${peer.size_bytes}|${peerPlacement(peer)}`);
  return {
    id: "peers",
    title: "Beside what one would pick today",
    text:
      html`FABLE and each peer between the same two cores, in turns. Right of the dashed line FABLE is better: less time for latency, more messages for throughput.`,
    panels: [...groups.values()].map(peersPanel),
    table: table(
      "Peers, and FABLE beside them",
      ["peer", "runtime", "what", "size", "placement", "peer's figure", "FABLE's", "FABLE with", "times as good"],
      peers.map((peer) => [
        peer.peer,
        peer.runtime === "" ? "–" : peer.runtime,
        peer.kind === "lat" ? "latency" : "throughput",
        size(peer.size_bytes),
        peerPlacement(peer) ?? "changed",
        maybe(peerValue(peer), (value) => valueText(peer.kind, value)),
        maybe(peer.ours?.value, (value) => valueText(peer.kind, value)),
        peer.ours === undefined ? "–" : `${peer.ours.transport}, ${peer.ours.driver}`,
        maybe(peer.ratio, times),
      ]),
    ),
  };
}

function peersPanel(peers: readonly ReadPeer[]): Panel {
  const { kind, size_bytes } = peers[0]!;
  const title = `${kind === "lat" ? "Latency" : "Throughput"}, ${size(size_bytes)}, ${peerPlacement(peers[0]!)}`;
  const lanes = peers
    .map((peer, index): Lane => {
      const ratio = peer.ratio ?? Number.NaN;
      return {
        name: `${index}`,
        label: peerName(peer),
        value: ratio,
        text: times(ratio),
        fill: ratio >= 1 ? "var(--shared)" : "var(--kernel)",
      };
    })
    .toSorted((a, b) => b.value - a.value);
  return {
    title,
    picture: points(
      `FABLE over ${lanes.length} peers, ${title}: from ${lanes.at(-1)!.text} over ${lanes.at(-1)!.label} to ${lanes[0]!.text} over ${
        lanes[0]!.label
      }.`,
      lanes,
      "times as good, logarithmic",
      times,
      1,
    ),
  };
}
