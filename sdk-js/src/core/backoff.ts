export interface BackoffLimits {
  firstMs: number;
  capMs: number;
}

/** Waiting times that double up to a cap. The upper half is jitter, so that a restarted server is not met by everybody at once. */
export class Backoff {
  #failures = 0;

  constructor(
    private readonly limits: BackoffLimits,
    private readonly random: () => number,
  ) {}

  /** How often `nextMs` was asked since the last reset. */
  get failures(): number {
    return this.#failures;
  }

  nextMs(): number {
    const full = Math.min(this.limits.capMs, this.limits.firstMs * 2 ** Math.min(this.#failures, 30));
    this.#failures += 1;
    return full / 2 + (full / 2) * this.random();
  }

  reset(): void {
    this.#failures = 0;
  }
}
