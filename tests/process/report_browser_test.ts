/** The report in Debian's Chromium, where that is installed: 360 and 1440 px wide, light and dark. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { checkReport, findChromium, type View, VIEWS } from "../../bench/report/browser-check.ts";
import { renderReport } from "../../bench/report/report.ts";
import { synthetic } from "../../bench/report/synthetic.ts";

async function complaints(page: string, views: readonly View[]): Promise<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), "fable-report-"));
  try {
    const path = join(folder, "report.html");
    writeFileSync(path, page);
    return await checkReport(path, views);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("the report in a browser", { skip: findChromium() === undefined ? "Chromium is not installed" : false }, () => {
  test("12 cores: all pictures, no overflow, no request, reachable with the keyboard", async () => {
    assert.deepEqual(await complaints(renderReport(synthetic(12)), VIEWS), []);
  });

  test("the check sees an overflow, a request, a script, bad contrast, a cut label, labels that overlap, and a picture without a name", async () => {
    const page =
      `<!doctype html><html lang="en"><body style="background: #fff"><p style="color: #bbb">faint</p><div style="width: 2000px">wide</div>
<img src="missing.png"><script>console.error("said")</script><figure><svg width="200" height="100"><text x="190" y="50">cut off</text><text x="10" y="50">one</text><text x="20" y="52">two</text></svg></figure></body></html>`;
    const found = (await complaints(page, VIEWS.slice(0, 1))).join("\n");
    for (
      const text of [
        "px wide in a window of 360",
        "asks for file://",
        "the console says “said”",
        "contrast of",
        "“cut off” is cut off",
        "“one” and “two” overlap",
        "has no name",
      ]
    ) {
      assert.ok(found.includes(text), `${text} is not in:\n${found}`);
    }
  });
});
