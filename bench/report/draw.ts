/** Pictures as SVG text: Observable Plot on a DOM of its own, so that a page needs no script to show them. */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { Html } from "./html.ts";

export { Plot };

/** Every picture is laid out at this width, that of a narrow page; a wide page puts several side by side. */
export const WIDTH = 336;
export const FONT_SIZE = 11;

/** Colours of styles.ts: they follow the reader's light or dark mode, which a literal colour would not. */
export const INK = "var(--ink)";
export const FAINT = "var(--faint)";
export const GRID = "var(--grid)";
export const SHARED = "var(--shared)";
export const KERNEL = "var(--kernel)";
export const REFERENCE = "var(--muted)";
/** The same two families with stripes, defined once a page (styles.ts): untrusted. */
export const SHARED_STRIPES = "url(#stripes-shared)";
export const KERNEL_STRIPES = "url(#stripes-kernel)";
export const OUTSIDE = "url(#stripes-outside)";

const { document } = parseHTML("<!doctype html><html><body></body></html>");

/** `label` is the picture in a sentence, for who does not see it. */
export function picture(label: string, options: Plot.PlotOptions): Html {
  const drawn = Plot.plot({
    width: WIDTH,
    style: { fontSize: `${FONT_SIZE}px` },
    className: "plot",
    ...options,
    document,
    ariaLabel: label,
  });
  drawn.setAttribute("role", "img");
  // Its style is in the page's, once.
  drawn.querySelector("style")?.remove();
  return new Html(drawn.outerHTML);
}

export interface Axis {
  readonly label: string | null;
  readonly anchor?: "center" | "right";
  readonly offset?: number;
}

/**
 * An axis with a label for each tick. A logarithmic scale's own axis would leave out those it takes for minor ones, by their first digit, whatever the format; so
 * scales are given `axis: null`.
 */
export function axisX(
  ticks: readonly number[],
  format: (value: number) => string,
  { label, anchor = "center", offset }: Axis,
): Plot.Markish {
  return Plot.axisX([...ticks], {
    text: format,
    label,
    labelAnchor: anchor,
    labelArrow: "none",
    tickSize: 3,
    ...(offset === undefined ? {} : { labelOffset: offset }),
  });
}

export function axisY(ticks: readonly number[], format: (value: number) => string): Plot.Markish {
  return Plot.axisY([...ticks], { text: format, label: null, tickSize: 3 });
}

/** Ticks of a logarithmic axis that fit a narrow picture: powers of ten, or 1-2-5 where there are too few of them. */
export function logTicks(low: number, high: number, most = 5): readonly number[] {
  const from = Math.floor(Math.log10(low));
  const to = Math.ceil(Math.log10(high));
  const within = (ticks: readonly number[]) => ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  const powers = Array.from({ length: to - from + 1 }, (_, index) => 10 ** (from + index));
  const tens = within(powers);
  if (tens.length > most) return tens.filter((_, index) => index % Math.ceil(tens.length / most) === 0);
  if (tens.length >= 3) return tens;
  const fine = within(powers.flatMap((power) => [power, 2 * power, 5 * power]));
  return fine.length > most ? (tens.length >= 2 ? tens : fine.filter((_, index) => index % 2 === 0)) : fine;
}

/** Values as a domain that is never a point. */
export function extent(values: readonly number[], least = 1): readonly [number, number] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const widen = Math.max(1, Math.sqrt(least / (high / low)));
  return [low / widen, high * widen];
}
