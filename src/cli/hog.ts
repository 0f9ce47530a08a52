/** A program that never sleeps, on one CPU. It looks after its parent, in case that is killed. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { confine } from "../native/affinity.ts";
import { loadNative } from "../native/load.ts";

const PROGRAM = "while kill -0 $PPID 2>/dev/null; do i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; done";

export class Hog {
  readonly #child: ChildProcess;

  constructor(cpu: number) {
    this.#child = spawn("/bin/sh", ["-c", PROGRAM], { stdio: "ignore" });
    if (this.#child.pid !== undefined) confine(loadNative().library, this.#child.pid, [cpu]);
  }

  /** Resolves when it is gone. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}
