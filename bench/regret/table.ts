/** The table that the broker of the regret benchmark decides by: the user's own if there is one, else one that is measured first. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync } from "node:fs";
import process from "node:process";
import { brokerPlace } from "../../src/naming/place.ts";
import { loadNative } from "../../src/native/load.ts";
import type { Place } from "../runner/told.ts";

/** `fable calibrate` measures again if the table is of another machine or kernel. */
export async function calibrated(place: Place): Promise<void> {
  const { library } = loadNative();
  const own = brokerPlace(library, undefined).calibration;
  if (existsSync(own)) copyFileSync(own, brokerPlace(library, place.socket).calibration);
  const [file = "", ...words] = place.command;
  const child = spawn(file, [...words, "calibrate"], { env: { ...process.env, ...place.environment }, stdio: ["ignore", 2, "inherit"] });
  const [status] = await once(child, "exit");
  if (status !== 0) throw new Error("without a table no choice can be judged: fable calibrate failed");
}
