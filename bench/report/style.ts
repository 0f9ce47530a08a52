/** How the page looks: light or dark as its reader has it, one column on a telephone, several pictures side by side on a wide screen. */
import { Html } from "./html.ts";

/** Okabe and Ito's blue and vermilion, which people with any kind of colour blindness tell apart; darker on paper, lighter on night. */
const css = `
:root { color-scheme: light dark; --paper: #fff; --raised: #f6f7f9; --ink: #16191d; --soft: #4a525c; --muted: #6d7681; --faint: #b3bac2; --grid: #e3e7eb;
  --link: #0a58a8; --shared: #0072b2; --kernel: #c65102; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --raised: #1d2125; --ink: #e9ecef; --soft: #b9c0c7; --muted: #98a1aa; --faint: #59626b; --grid: #2c3238;
  --link: #7cc0ff; --shared: #56b4e9; --kernel: #f0883e; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0 auto; padding: 0 12px 48px; max-width: 1460px; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif;
  overflow-wrap: break-word; }
header p, .small, small { color: var(--soft); }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 24px 0 8px; text-wrap: balance; }
h2 { font-size: 1.3rem; margin: 40px 0 8px; border-bottom: 1px solid var(--grid); padding-bottom: 4px; }
h3 { font-size: 1.1rem; margin: 36px 0 4px; }
h4 { font-size: 1rem; margin: 18px 0 2px; color: var(--soft); }
p { margin: 4px 0 10px; max-width: 78ch; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 2px; }
nav ul { list-style: none; padding: 0; margin: 12px 0; display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: .9rem; }
.findings { padding-left: 20px; }
@media (min-width: 1000px) { .findings { columns: 2; column-gap: 56px; } }
.findings li { margin: 0 0 9px; break-inside: avoid; }
.small, small { font-size: .85rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(336px, 100%), 1fr)); gap: 22px 26px; align-items: start; margin: 12px 0; }
figure { margin: 0; min-width: 0; }
figcaption { font-weight: 600; font-size: .95rem; margin-bottom: 4px; }
figcaption small { display: block; font-weight: 400; }
svg.plot { display: block; width: 100%; max-width: 430px; height: auto; overflow: visible; --plot-background: var(--paper); }
svg.plot text { white-space: pre; }
.patterns { position: absolute; width: 0; height: 0; }
.legend { list-style: none; padding: 0; margin: 8px 0; display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: .9rem; }
.swatch { display: inline-block; width: 14px; height: 14px; margin-right: 6px; vertical-align: -2px; border: 2px solid var(--soft); }
.swatch.shared { background: var(--shared); border-color: var(--shared); }
.swatch.kernel { background: var(--kernel); border-color: var(--kernel); }
.swatch.muted { background: var(--muted); border-color: var(--muted); border-radius: 50%; }
.swatch.hollow { border-color: var(--shared); border-radius: 50%; }
.swatch.striped { border-color: var(--shared); background: repeating-linear-gradient(45deg, var(--shared) 0 2px, transparent 2px 5px); }
.swatch.mark { border: 0; border-left: 3px solid var(--ink); width: 6px; }
details { margin: 6px 0; font-size: .9rem; min-width: 0; }
summary { cursor: pointer; color: var(--link); padding: 4px 0; }
.scroll { overflow: auto; max-height: 70vh; border: 1px solid var(--grid); border-radius: 4px; margin: 6px 0; }
table { border-collapse: separate; border-spacing: 0; font-size: .85rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 6px 10px; color: var(--soft); }
caption span { position: sticky; left: 10px; display: inline-block; max-width: min(78ch, calc(100vw - 46px)); }
th, td { padding: 3px 10px; text-align: right; border-top: 1px solid var(--grid); white-space: nowrap; vertical-align: top; }
thead th { position: sticky; top: 0; background: var(--raised); z-index: 1; }
th[scope="row"] { text-align: left; font-weight: 500; position: sticky; left: 0; background: var(--raised); }
#machine table, #machine th, #machine td, #caution td { white-space: normal; text-align: left; }
#machine .scroll, #caution .scroll { max-width: min(110ch, 100%); }
.scroll { width: fit-content; max-width: 100%; }
td ul { margin: 0; padding-left: 18px; }
footer { margin-top: 40px; color: var(--soft); font-size: .85rem; border-top: 1px solid var(--grid); }
@media (max-width: 600px) { th[scope="row"] { max-width: 40vw; white-space: normal; } }
@media print { nav, details:not([open]) { display: none; } .scroll { max-height: none; overflow: visible; } figure { break-inside: avoid; } }
`;

export const STYLE = new Html(css);

const stripes = (id: string, colour: string, back: string): string =>
  `<pattern id="${id}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="${back}"/>`
  + `<rect width="2.4" height="6" fill="${colour}"/></pattern>`;

/** Patterns of all pictures, once: stripes tell what colour alone should not. */
export const PATTERNS = new Html(
  `<svg class="patterns" aria-hidden="true" focusable="false"><defs>${stripes("stripes-shared", "var(--shared)", "var(--paper)")}${
    stripes("stripes-kernel", "var(--kernel)", "var(--paper)")
  }${stripes("stripes-outside", "var(--ink)", "var(--paper)")}</defs></svg>`,
);
