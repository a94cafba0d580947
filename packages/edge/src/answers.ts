import { createHash } from 'node:crypto';
import { toBytes } from '@tierwise/core';
import { orAborted } from '@tierwise/runtime';
import type { InferRequest, InferResponse } from '@tierwise/wire';

/** How long an answer is kept for a sender that lost it. */
const windowMs = 60_000;
/** What kept answers may take together; the oldest go first. */
const maxBytes = 32 * 2 ** 20;

interface Entry {
  readonly work: Promise<InferResponse>;
  readonly abort: AbortController;
  /** Those who wait for it now. When the last one leaves, the work is given up. */
  waiting: number;
  /** 0 while it is computed. */
  bytes: number;
  readonly keptSince: number;
}

/**
 * Answers requests with a key once: a request that comes again, over whatever transport, joins the work or gets its
 * answer. What failed is not kept. The key holds with the same content only, so that knowing somebody's key is no
 * way to somebody's answer.
 */
export class Answers {
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  /** @throws what `work` throws; the reason of `signal` */
  async once(
    name: string,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<InferResponse>,
  ): Promise<{ readonly response: InferResponse; readonly repeated: boolean }> {
    this.#forgetOld();
    const known = this.#entries.get(name);
    const entry = known ?? this.#begin(name, work);
    entry.waiting++;
    try {
      return { response: await orAborted(entry.work, signal), repeated: known !== undefined };
    } finally {
      entry.waiting--;
      if (entry.waiting === 0 && entry.bytes === 0) {
        this.#drop(name, entry);
        entry.abort.abort(signal.reason);
      }
    }
  }

  #begin(name: string, work: (signal: AbortSignal) => Promise<InferResponse>): Entry {
    const abort = new AbortController();
    const entry: Entry = {
      work: work(abort.signal),
      abort,
      waiting: 0,
      bytes: 0,
      keptSince: performance.now(),
    };
    this.#entries.set(name, entry);
    entry.work.then(
      ({ outputs }) => {
        if (this.#entries.get(name) !== entry) return;
        entry.bytes = [...outputs.values()].reduce((sum, { data }) => sum + data.byteLength, 256);
        this.#bytes += entry.bytes;
      },
      () => this.#drop(name, entry),
    );
    return entry;
  }

  #forgetOld(): void {
    const before = performance.now() - windowMs;
    for (const [name, entry] of this.#entries) {
      if (entry.keptSince > before && this.#bytes <= maxBytes) return;
      if (entry.bytes > 0) this.#drop(name, entry);
    }
  }

  #drop(name: string, entry: Entry): void {
    if (this.#entries.get(name) !== entry) return;
    this.#entries.delete(name);
    this.#bytes -= entry.bytes;
  }
}

/** What two requests share when they are the same one: their key, what they ask of, and every byte of their tensors. */
export function nameOf(key: string, plan: string, section: string, { inputs }: InferRequest): string {
  const hash = createHash('sha256');
  for (const [name, { dtype, dims, data }] of inputs) {
    hash.update(JSON.stringify([name, dtype, dims])).update(toBytes(data));
  }
  return JSON.stringify([key, plan, section, hash.digest('base64')]);
}
