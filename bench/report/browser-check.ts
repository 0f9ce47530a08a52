/**
 * Looks at a report in a real browser: narrow and wide, light and dark. Nothing may overflow, be asked for, be said on the console or be unreachable with the keyboard,
 * and every picture must be there. Screenshots are for people: that nothing overlaps is for them to see.
 *
 *     bun bench/report/browser-check.ts [REPORT.html [FOLDER FOR SCREENSHOTS]]      without a report, a synthetic one of 48 cores
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { renderReport } from "./report.ts";
import { synthetic } from "./synthetic.ts";

export const VIEWS = [
  { name: "narrow-light", width: 360, height: 800, colorScheme: "light" },
  { name: "narrow-dark", width: 360, height: 800, colorScheme: "dark" },
  { name: "wide-light", width: 1440, height: 900, colorScheme: "light" },
  { name: "wide-dark", width: 1440, height: 900, colorScheme: "dark" },
] as const;

export type View = (typeof VIEWS)[number];

/** What a contrast must reach: WCAG 2, text. */
const LEAST_CONTRAST = 4.5;
/** So tall are the pieces that a long page is photographed in. */
const SHOT_HEIGHT = 2000;
const TIMEOUT_MS = 30_000;

/** Where Debian, and others, put it; undefined where there is none. */
export function findChromium(): string | undefined {
  return [process.env["CHROMIUM"] ?? "", "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) =>
    path !== "" && existsSync(path)
  );
}

/** What is wrong with the page, in sentences; nothing, if it is as it should be. */
export async function checkReport(path: string, views: readonly View[] = VIEWS, shots?: string): Promise<readonly string[]> {
  const executablePath = findChromium();
  if (executablePath === undefined) throw new Error("there is no Chromium here: apt-get install chromium, or set CHROMIUM to its path");
  // Root may not use the sandbox, and the page is our own.
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"], timeout: TIMEOUT_MS });
  try {
    const found: string[] = [];
    for (const view of views) found.push(...await checkView(browser, path, view, shots));
    return found;
  } finally {
    await browser.close();
  }
}

async function checkView(browser: Browser, path: string, view: View, shots?: string): Promise<readonly string[]> {
  const { name, width, height, colorScheme } = view;
  const page = await browser.newPage({ viewport: { width, height }, colorScheme });
  page.setDefaultTimeout(TIMEOUT_MS);
  const found: string[] = [];
  const say = (text: string): void => void found.push(`${name}: ${text}`);
  const address = pathToFileURL(resolve(path)).href;
  page.on("console", (message) => say(`the console says “${message.text()}”`));
  page.on("pageerror", (error) => say(`error “${error.message}”`));
  page.on("request", (request) => {
    if (request.url() !== address) say(`asks for ${request.url()}`);
  });
  await page.goto(address, { waitUntil: "load" });
  for (const text of await page.evaluate(inspect, LEAST_CONTRAST)) say(text);
  if (shots !== undefined) await photograph(page, join(shots, name));
  if (view.name === "narrow-light") { for (const text of await walk(page)) say(text); }
  // Tables are wider than their pictures: the page must hold them open, too.
  await page.evaluate(() => document.querySelectorAll("details").forEach((details) => details.setAttribute("open", "")));
  for (const text of await page.evaluate(inspect, LEAST_CONTRAST)) say(`with all tables open, ${text}`);
  await page.close();
  return found;
}

/** Runs in the page: everything it uses is inside. */
function inspect(leastContrast: number): readonly string[] {
  const found: string[] = [];
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) found.push(`the page is ${scrollWidth} px wide in a window of ${clientWidth}`);
  const shown = (element: Element): boolean => element.closest("details:not([open])") === null;
  for (const svg of document.querySelectorAll("figure svg")) {
    if (!shown(svg)) continue;
    const box = svg.getBoundingClientRect();
    const label = svg.getAttribute("aria-label") ?? "";
    if (box.width < 100 || box.height < 20) found.push(`“${label}” is ${box.width} × ${box.height} px`);
    if (label === "" || svg.getAttribute("role") !== "img") found.push(`a picture has no name`);
    const texts = [...svg.querySelectorAll("text")].map((text) => ({ text: text.textContent ?? "", place: text.getBoundingClientRect() }));
    for (const [index, { text, place }] of texts.entries()) {
      if (place.width === 0) continue;
      if (place.left < box.left - 1 || place.right > box.right + 1 || place.bottom > box.bottom + 1 || place.top < box.top - 1) {
        found.push(`“${text}” is cut off in “${label}”`);
      }
      // Lines of text have air above and below, which may touch.
      const hit = texts.slice(index + 1).find((other) =>
        other.place.left < place.right - 1 && other.place.right > place.left + 1 && other.place.top < place.bottom - 4
        && other.place.bottom > place.top + 4
      );
      if (hit !== undefined) found.push(`“${text}” and “${hit.text}” overlap in “${label}”`);
    }
  }
  const channels = (colour: string): readonly number[] => (/\(([^)]+)\)/.exec(colour)?.[1] ?? "0, 0, 0").split(",").map(Number);
  const luminance = (colour: string): number => {
    const [red = 0, green = 0, blue = 0] = channels(colour).map((
      value,
    ) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const backOf = (element: Element | null): string => {
    if (element === null) return "rgb(255, 255, 255)";
    const back = getComputedStyle(element).backgroundColor;
    return /, 0\)$|transparent/.test(back) ? backOf(element.parentElement) : back;
  };
  for (const element of document.querySelectorAll("h1, h2, h3, h4, p, li, a, small, figcaption, summary, th, td, caption")) {
    if (!shown(element) && element.tagName !== "SUMMARY") continue;
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(backOf(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < leastContrast) found.push(`<${element.tagName.toLowerCase()}> has a contrast of ${contrast.toFixed(2)}`);
    if (found.length > 20) break;
  }
  return found;
}

/** With the keyboard alone: Tab finds the first summary, Enter opens it, Tab goes into its table. */
async function walk(page: Page): Promise<readonly string[]> {
  const focused = (): Promise<string> =>
    page.evaluate(() => {
      const element = document.activeElement;
      return element?.tagName === "SUMMARY" ? "summary" : element?.classList.contains("scroll") === true ? "table" : element?.tagName ?? "";
    });
  const links = await page.evaluate(() => document.querySelectorAll("a[href]").length);
  const summaries = await page.evaluate(() => document.querySelectorAll("details").length);
  if (summaries === 0) return [];
  let steps = 0;
  do {
    await page.keyboard.press("Tab");
    steps++;
  } while (await focused() !== "summary" && steps <= links + 2);
  if (await focused() !== "summary") return ["Tab finds no table"];
  await page.keyboard.press("Enter");
  if (!(await page.evaluate(() => document.querySelector("details[open]") !== null))) return ["Enter opens no table"];
  await page.keyboard.press("Tab");
  return await focused() === "table" ? [] : [`Tab does not go from a summary into its table but to ${await focused()}`];
}

async function photograph(page: Page, path: string): Promise<void> {
  const { width, height } = await page.evaluate(() => ({ width: innerWidth, height: document.documentElement.scrollHeight }));
  for (let top = 0, index = 0; top < height; top += SHOT_HEIGHT, index++) {
    await page.screenshot({
      path: `${path}-${index}.png`,
      fullPage: true,
      clip: { x: 0, y: top, width, height: Math.min(SHOT_HEIGHT, height - top) },
    });
  }
}

async function main(given: string | undefined, shots: string | undefined): Promise<number> {
  const folder = given === undefined ? mkdtempSync(join(tmpdir(), "fable-report-")) : undefined;
  try {
    const path = given ?? join(folder!, "report.html");
    if (given === undefined) writeFileSync(path, renderReport(synthetic()));
    if (shots !== undefined) mkdirSync(shots, { recursive: true });
    const found = await checkReport(path, VIEWS, shots);
    for (const text of found) process.stderr.write(`${text}\n`);
    process.stdout.write(found.length === 0 ? `${path}: nothing found in ${VIEWS.length} views\n` : "");
    return found.length === 0 ? 0 : 1;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const [path, shots] = process.argv.slice(2);
  process.exitCode = await main(path, shots);
}
