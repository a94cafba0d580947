/** A piece of work and whether a newer one should cut it short. */
export interface Job {
  /** Does the work and shows its result, unless `signal` says that nobody wants it any more. */
  readonly run: (signal: AbortSignal) => Promise<void>;
  /** Whether it is done quickly and on this device, so that a newer job can wait for it. */
  readonly short: boolean;
}

/**
 * Runs one job at a time and keeps only the newest of those that wait, so that a slow link can never show an
 * old answer after a new one nor let requests pile up. `run` must not reject.
 */
export class Latest {
  #running: { readonly job: Job; readonly abort: AbortController } | undefined;
  #waiting: Job | undefined;

  submit(job: Job): void {
    this.#waiting = job;
    if (this.#running === undefined) this.#next();
    else if (!this.#running.job.short) this.#running.abort.abort();
  }

  /** Drops what waits and aborts what runs. */
  cancel(): void {
    this.#waiting = undefined;
    this.#running?.abort.abort();
  }

  #next(): void {
    const job = this.#waiting;
    this.#waiting = undefined;
    this.#running = undefined;
    if (job === undefined) return;
    const abort = new AbortController();
    this.#running = { job, abort };
    void job.run(abort.signal).finally(() => this.#next());
  }
}
