/** Starting a broker that cannot be started: whoever waits for it learns which file it was. */
import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { connectNameService } from "../../src/naming/client.ts";
import { brokerPlace } from "../../src/naming/place.ts";
import { commandLineFile, startBroker } from "../../src/naming/start.ts";
import type { Native } from "../../src/native/native.ts";
import { inScene, native, type Scene } from "../broker/support.ts";

async function refusal(scene: Scene, command: readonly string[]): Promise<{ readonly message: string; readonly remedy: string }> {
  let seen: { readonly code?: string; readonly message: string; readonly remedy: string } | undefined;
  await connectNameService(native, { socket: scene.socket, command, timeoutMs: 10_000 }).then(
    (service) => service.close(),
    (error) => void (seen = error as typeof seen),
  );
  assert.equal(seen?.code, "BROKER_UNREACHABLE");
  return seen!;
}

describe("a broker that cannot be started is named by its absolute path", () => {
  test("a program that is not there", () =>
    inScene(async (scene) => {
      const program = join(scene.folder, "nothing/fable");
      const { message, remedy } = await refusal(scene, [program]);
      assert.equal(message, `Could not start ${program} as a broker: the system refused (ENOENT).`);
      assert.match(remedy, new RegExp(`^see that ${program} is there and may be run`));
    }));

  test("one that may not be run", () =>
    inScene(async (scene) => {
      const program = join(scene.folder, "fable");
      writeFileSync(program, "#!/bin/sh\n");
      chmodSync(program, 0o600);
      const { message, remedy } = await refusal(scene, [program]);
      assert.match(message, /\(EACCES\)/);
      assert.ok(remedy.includes(program));
    }));

  test("one that has no absolute path", () =>
    inScene(async (scene) => {
      const { remedy } = await refusal(scene, ["fable"]);
      assert.equal(remedy, 'write the absolute path of "fable" into $FABLE_BROKER_COMMAND');
    }));

  test("the library's own command line, if its file is gone", () =>
    inScene((scene) => {
      const library = Object.create(native.library) as { file_read: unknown; errno: unknown; getenv: unknown };
      Object.assign(library, { file_read: () => -13, errno: () => 2, getenv: () => -1 });
      const broken = { ...native, library } as unknown as Native;
      const file = commandLineFile(new URL("../../src/naming/start.ts", import.meta.url).href);
      assert.throws(() => startBroker(broken, brokerPlace(native.library, scene.socket), undefined), {
        code: "BROKER_UNREACHABLE",
        message: `Could not read ${file}, which is the fable command: the system refused (ENOENT).`,
        remedy: new RegExp(`^see that ${file} is there`),
      });
      return Promise.resolve();
    }));
});
