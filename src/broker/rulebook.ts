/**
 * The operator's rules and the calibration table as the broker has them now: both are files, looked at now and then and taken over when they
 * changed. A file that is wrong changes nothing but the log: what held before goes on. No I/O of its own; reading is handed in.
 */
import { BUILT_IN_TABLE } from "../policy/builtin.ts";
import { describeProblems, parseRules } from "../policy/file.ts";
import { DEFAULT_RULES, type Rules } from "../policy/rules.ts";
import { CostModel, type Fingerprint, fits, parseTable } from "../policy/table.ts";

export interface RulebookOptions {
  /** Undefined: there is none. */
  readonly policyPath: string | undefined;
  /** The policy file need not be there; it holds from when it is. */
  readonly policyOptional?: boolean;
  readonly calibrationPath: string | undefined;
  readonly machine: Fingerprint;
  /** A whole file; undefined if it cannot be read. */
  read(path: string): string | undefined;
  log(event: RulebookEvent): void;
}

export type RulebookEvent =
  | { readonly event: "policy-loaded"; readonly path: string }
  | { readonly event: "policy-refused"; readonly path: string; readonly problems: string }
  | { readonly event: "calibration-loaded"; readonly path: string; readonly made_at: string }
  | { readonly event: "calibration-refused"; readonly path: string; readonly problems: string };

export class Rulebook {
  readonly #options: RulebookOptions;
  #rules: Rules = DEFAULT_RULES;
  #model = new CostModel(BUILT_IN_TABLE);
  /** As last looked at, so that a mistake is said once. */
  #policyText: string | undefined;
  #calibrationText: string | undefined;

  constructor(options: RulebookOptions) {
    this.#options = options;
  }

  get rules(): Rules {
    return this.#rules;
  }

  get model(): CostModel {
    return this.#model;
  }

  /** Before anything else: the policy file's problems, if it has any; then nobody should start with it. */
  start(): string | undefined {
    const { policyPath, policyOptional = false, read } = this.#options;
    this.#lookAtCalibration();
    if (policyPath === undefined) return undefined;
    const text = read(policyPath);
    if (text === undefined && policyOptional) return undefined;
    if (text === undefined) return `${policyPath}: it cannot be read`;
    this.#policyText = text;
    const result = parseRules(text);
    if ("problems" in result) return describeProblems(policyPath, result.problems);
    this.#rules = result.rules;
    return undefined;
  }

  /** Looks whether something changed. True if the rules did. */
  look(): boolean {
    this.#lookAtCalibration();
    return this.#lookAtPolicy();
  }

  #lookAtPolicy(): boolean {
    const { policyPath: path, read, log } = this.#options;
    const text = path === undefined ? undefined : read(path);
    // An editor may have it away for a moment.
    if (path === undefined || text === undefined || text === this.#policyText) return false;
    this.#policyText = text;
    const result = parseRules(text);
    if ("problems" in result) {
      log({ event: "policy-refused", path, problems: describeProblems(path, result.problems) });
      return false;
    }
    this.#rules = result.rules;
    log({ event: "policy-loaded", path });
    return true;
  }

  #lookAtCalibration(): void {
    const { calibrationPath: path, machine, read, log } = this.#options;
    const text = path === undefined ? undefined : read(path);
    if (path === undefined || text === undefined || text === this.#calibrationText) return;
    this.#calibrationText = text;
    const result = parseTable(text);
    const problems = "problem" in result ? result.problem : fits(result.table, machine) ? undefined : "it is of another machine or kernel";
    if ("problem" in result || problems !== undefined) {
      log({ event: "calibration-refused", path, problems: problems ?? "" });
      return;
    }
    this.#model = new CostModel(result.table);
    log({ event: "calibration-loaded", path, made_at: result.table.made_at });
  }
}
