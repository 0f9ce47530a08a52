/**
 * Filters that tell a change from noise: scalar Kalman filters of the local-level model. What is measured is a level that wanders as a random
 * walk, seen through noise; the filter weighs each new sample by how long ago the last one was and how far both can be trusted. Rates and sizes
 * are followed on the log scale, because they change by factors; shares of time as they are. docs/policy.md justifies the parameters.
 *
 * A random walk is slow to believe in a step. Two samples in a row far on the same side of what was expected are taken as one, and the filter
 * begins anew there; a single one is taken for the accident that it usually is. Pure: time comes with the samples.
 */

export interface LevelOptions {
  /** Variance that the level itself gains per second. */
  readonly driftPerS: number;
}

/** So far off, in standard deviations, is no noise. */
const STEP_SIGMAS = 3;

export class Level {
  readonly #driftPerS: number;
  #level = 0;
  #variance = Infinity;
  /** What the level was before the last sample, which was too far off to be noise, and on which side; undefined: it was not. */
  #suspect: { readonly side: number; readonly level: number } | undefined;

  constructor(options: LevelOptions) {
    this.#driftPerS = options.driftPerS;
  }

  /** Undefined before the first sample. */
  get estimate(): number | undefined {
    return this.#variance === Infinity ? undefined : this.#level;
  }

  /** How sure the estimate was after its last sample. */
  get variance(): number {
    return this.#variance;
  }

  /** A sample of that noise (a variance), `elapsedS` after the last one. Gaps need nothing special: the longer, the more the sample counts. */
  update(sample: number, noise: number, elapsedS: number): number {
    if (!Number.isFinite(sample) || !(noise >= 0) || Number.isNaN(elapsedS)) return this.#level;
    if (this.#variance === Infinity) return this.#begin(sample, noise);
    const expected = this.#variance + this.#driftPerS * Math.max(0, elapsedS);
    const far = STEP_SIGMAS * Math.sqrt(expected + noise);
    const suspect = this.#suspect;
    // Seen from before the first one, which has drawn the level to itself.
    if (suspect !== undefined && (sample - suspect.level) * suspect.side > far) return this.#begin(sample, noise);
    const surprise = sample - this.#level;
    const alone = Math.abs(surprise) > far;
    this.#suspect = alone ? { side: Math.sign(surprise), level: this.#level } : undefined;
    const weight = expected + noise === 0 ? 0 : expected / (expected + noise);
    // A lone far sample counts as if its noise were what it seems to be.
    this.#level += (alone ? weight * (far / Math.abs(surprise)) : weight) * surprise;
    this.#variance = expected * (1 - weight);
    return this.#level;
  }

  #begin(sample: number, noise: number): number {
    this.#level = sample;
    this.#variance = noise;
    this.#suspect = undefined;
    return sample;
  }
}

/** A factor of two per second is nothing special. */
const LOG_DRIFT_PER_S = Math.LN2 ** 2;
/** What scheduling and garbage collection do to a count over a tenth of a second: a quarter, roughly. */
const LOG_NOISE = 0.06;
/** Counts so small say nothing about a logarithm. */
const LEAST_COUNT = 0.5;
/** Below this many per second nothing happens, as far as policy is concerned. */
const SILENT_PER_S = 0.05;

/** How many per second, from counts over any stretch of time. */
export class RateFilter {
  readonly #level = new Level({ driftPerS: LOG_DRIFT_PER_S });
  #silentS = 0;

  /** 0 before anything came, and after a silence long enough to mean it. */
  get perS(): number {
    const rate = Math.exp(this.#level.estimate ?? -Infinity);
    return rate < SILENT_PER_S ? 0 : rate;
  }

  update(count: number, elapsedS: number): number {
    if (!(elapsedS > 0) || !(count >= 0)) return this.perS;
    // Nothing at all in this sample: the longer that lasts, the smaller the rate that explains it.
    this.#silentS = count > 0 ? 0 : this.#silentS + elapsedS;
    const stretch = count > 0 ? elapsedS : this.#silentS;
    const seen = Math.max(count, LEAST_COUNT);
    // A count varies as its own size (Poisson), so its logarithm as one over it.
    this.#level.update(Math.log(seen / stretch), LOG_NOISE + 1 / seen, elapsedS);
    return this.perS;
  }
}

/** A typical size, on the log scale. */
export class SizeFilter {
  readonly #level = new Level({ driftPerS: LOG_DRIFT_PER_S });

  /** 0 before the first message. */
  get bytes(): number {
    const size = this.#level.estimate;
    return size === undefined ? 0 : Math.exp(size) - 1;
  }

  /** So many messages of so many bytes in all. Empty messages are messages. */
  update(messages: number, bytes: number, elapsedS: number): number {
    if (!(messages > 0) || !(bytes >= 0)) return this.bytes;
    this.#level.update(Math.log1p(bytes / messages), LOG_NOISE + 1 / messages, elapsedS);
    return this.bytes;
  }
}

/** A share of time may change by half within a second. */
const SHARE_DRIFT_PER_S = 0.25;
/** The kernel counts a CPU's time in ticks of 10 ms: a tenth of a sample that is itself a tenth of a second. */
const SHARE_NOISE = 0.02;

/** Counted in ticks, a sample may lie beyond 0 and 1, and the next one makes up for it; anything further out is nonsense. */
const OVERSHOOT = 1;

/** A share of time between 0 and 1. */
export class ShareFilter {
  readonly #level = new Level({ driftPerS: SHARE_DRIFT_PER_S });

  /** 0 before the first sample. */
  get share(): number {
    return Math.min(1, Math.max(0, this.#level.estimate ?? 0));
  }

  update(share: number, elapsedS: number, noise: number = SHARE_NOISE): number {
    if (!Number.isFinite(share)) return this.share;
    this.#level.update(Math.min(1 + OVERSHOOT, Math.max(-OVERSHOOT, share)), noise, elapsedS);
    return this.share;
  }
}
