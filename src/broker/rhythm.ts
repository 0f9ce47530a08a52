/**
 * When the broker looks at its flows. A look is at everything and decides; a glance only sees whether ends are still where their memory is, and costs
 * a fraction: there are glances where memory can lie on several nodes and looks are rare. Each rests so many times as long as it typically takes,
 * so that together they spend at most a hundredth of a CPU: what is dear becomes rare. Pure: time is given.
 */

export type Kind = "look" | "glance";

/** Between looks while messages travel, and while none do. */
const BUSY_MS = 50;
const IDLE_MS = 250;
/** How many times as long; with glances between looks each has half of the hundredth. */
const REST = 130;
/** Looks that come as often as this need no glances between them. */
const OFTEN_MS = 150;
const LONGEST_MS = 2000;
/** The kernel books a thread's time in steps, so that single rounds seem to cost nothing, or a lot. */
const SMOOTHING = 16;
/** A glance that took more than so many typical ones met a compiler or a collector, and counts as that many. */
const MOST_TYPICAL = 8;
const LEAST_TYPICAL_MS = 0.25;
/** An end that was just seen elsewhere is glanced at again so soon; the pause that was saved is made up for. */
const AGAIN_MS = 150;

/** What was done. */
export interface Round {
  readonly kind: Kind;
  /** CPU time. */
  readonly tookMs: number;
  /** Something travels. */
  readonly active: boolean;
  /** An end was just seen elsewhere, perhaps in passing. */
  readonly again: boolean;
}

export class Rhythm {
  readonly #glances: boolean;
  readonly #typicalMs: Record<Kind, number> = { look: 0, glance: 0 };
  #lookAtMs = -Infinity;
  #owedMs = 0;
  #active = false;

  constructor(glances: boolean) {
    this.#glances = glances;
  }

  /** What there is to do now. */
  kind(nowMs: number): Kind {
    return nowMs >= this.#lookAtMs ? "look" : "glance";
  }

  /** Milliseconds from that round until the next. */
  after({ kind, tookMs, active, again }: Round, nowMs: number): number {
    const typicalMs = this.#typicalMs;
    const most = kind === "look" ? Infinity : MOST_TYPICAL * Math.max(LEAST_TYPICAL_MS, typicalMs.glance);
    typicalMs[kind] += (Math.min(most, tookMs) - typicalMs[kind]) / SMOOTHING;
    if (kind === "look") this.#active = active;
    const glances = this.#glances && this.#active && typicalMs.look * REST > OFTEN_MS;
    const rest = glances ? 2 * REST : REST;
    if (kind === "look") this.#lookAtMs = nowMs + Math.min(LONGEST_MS, Math.max(active ? BUSY_MS : IDLE_MS, typicalMs.look * rest));
    const untilLook = Math.max(1, this.#lookAtMs - nowMs);
    return glances ? Math.min(untilLook, this.#untilGlance(Math.max(BUSY_MS, typicalMs.glance * rest), again)) : untilLook;
  }

  #untilGlance(restMs: number, again: boolean): number {
    const pauseMs = again ? Math.min(AGAIN_MS, restMs) : restMs + this.#owedMs;
    this.#owedMs = again ? this.#owedMs + restMs - pauseMs : 0;
    return pauseMs;
  }
}
