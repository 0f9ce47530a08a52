/** Writes docs/reference/status-codes.md; a test compares it. */
import { writeFileSync } from "node:fs";
import { STATUS_PAGE, statusPage } from "./lib/status-page.ts";

writeFileSync(STATUS_PAGE, statusPage());
