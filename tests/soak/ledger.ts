/**
 * What of a long soak has been done, kept in a file if there is one: a run that was interrupted, or had only an hour, is continued by the next. A
 * revision stands beside the messages that passed with it.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

export interface Account {
  messages: number;
  bytes: number;
  seconds: number;
  /** Messages by the revision that passed them. */
  readonly revisions: Record<string, number>;
}

export class Ledger {
  readonly accounts = new Map<string, Account>();
  readonly #path: string | undefined;
  readonly #revision: string;

  /** Throws if the file is there and is no ledger. */
  constructor(path: string | undefined, revision: string) {
    this.#path = path;
    this.#revision = revision;
    if (path === undefined || !existsSync(path)) return;
    for (const [name, account] of Object.entries(parse(path))) this.accounts.set(name, account);
  }

  done(name: string): number {
    return this.accounts.get(name)?.messages ?? 0;
  }

  /** Adds what passed, and keeps it. */
  add(name: string, passed: { readonly messages: number; readonly bytes: number; readonly seconds: number }): void {
    const account = this.accounts.get(name) ?? { messages: 0, bytes: 0, seconds: 0, revisions: {} };
    account.messages += passed.messages;
    account.bytes += passed.bytes;
    account.seconds += passed.seconds;
    account.revisions[this.#revision] = (account.revisions[this.#revision] ?? 0) + passed.messages;
    this.accounts.set(name, account);
    if (this.#path === undefined) return;
    // Whoever is stopped between the two keeps the ledger as it was.
    const next = `${this.#path}.next`;
    writeFileSync(next, `${JSON.stringify(Object.fromEntries(this.accounts), undefined, 2)}\n`);
    renameSync(next, this.#path);
  }
}

function parse(path: string): Record<string, Account> {
  const refuse = (): never => {
    throw new Error(`${path} is no ledger of a soak; name another file, or one that is not there yet`);
  };
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return refuse();
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return refuse();
  return Object.values(value).every(isAccount) ? value as Record<string, Account> : refuse();
}

function isAccount(value: unknown): value is Account {
  if (typeof value !== "object" || value === null) return false;
  const { messages, bytes, seconds, revisions } = value as Partial<Record<keyof Account, unknown>>;
  return [messages, bytes, seconds].every((number) => typeof number === "number" && number >= 0)
    && typeof revisions === "object" && revisions !== null && Object.values(revisions).every((number) => typeof number === "number");
}
