import { Worker } from 'node:worker_threads';
import { type Tensor, TierwiseError } from '@tierwise/core';
import type { Trial } from './batches.ts';
import { buffersOf, type FromWorker, fromPlain, type ToWorker } from './protocol.ts';
import type { PortInfo, SessionOptions } from './session.ts';

export interface LoadResult {
  readonly inputs: readonly PortInfo[];
  readonly outputs: readonly PortInfo[];
  /** Whether runs of the model may be joined. */
  readonly batches: boolean;
}

export interface RunResult {
  readonly outputs: Map<string, Tensor>;
  readonly computeMs: number;
}

/** What a thread tells its pool. `onEnd` comes once, after everything that the thread still owed was rejected. */
export interface ThreadEvents {
  onFree(): void;
  onEnd(error: TierwiseError): void;
}

type Waiting =
  | { readonly kind: 'load'; resolve(value: LoadResult): void; reject(error: unknown): void }
  | { readonly kind: 'run'; resolve(value: RunResult): void; reject(error: unknown): void };

/**
 * One worker thread and the promises it owes. It does what it is told in order; whoever gives it runs keeps to
 * one at a time by looking at `free`. It keeps the process alive only while it owes something.
 */
export class InferenceThread {
  readonly #worker: Worker;
  readonly #events: ThreadEvents;
  readonly #waiting = new Map<number, Waiting>();
  #jobs = 0;
  #running = false;
  #started = false;
  #fault: Error | undefined;
  readonly #ended: Promise<void>;

  constructor(events: ThreadEvents) {
    this.#events = events;
    // From src as from dist this is the built file: Node starts workers by path and cannot read TypeScript.
    this.#worker = new Worker(new URL('../dist/worker.js', import.meta.url), { execArgv: [] });
    this.#worker.on('message', (message: FromWorker) => this.#receive(message));
    this.#worker.on('error', (error) => {
      this.#fault = error instanceof Error ? error : new Error(String(error));
    });
    this.#ended = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        this.#end(code);
        resolve();
      });
    });
  }

  /** Whether the worker has started, so that a failure later is not one of starting. */
  get started(): boolean {
    return this.#started;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Whether a run given now would begin at once. */
  get free(): boolean {
    return this.#started && !this.#running;
  }

  load(
    model: number,
    bytes: SharedArrayBuffer,
    options: SessionOptions,
    trial: Trial | undefined,
  ): Promise<LoadResult> {
    return new Promise((resolve, reject) => {
      const job = this.#owe({ kind: 'load', resolve, reject });
      this.#post({ kind: 'load', job, model, bytes, options, trial });
    });
  }

  /** The buffers behind `feeds` are transferred: the caller cannot use them any more. */
  run(
    model: number,
    feeds: ReadonlyMap<string, Tensor>,
    fetches: readonly string[] | undefined,
  ): Promise<RunResult> {
    this.#running = true;
    return new Promise((resolve, reject) => {
      const job = this.#owe({ kind: 'run', resolve, reject });
      this.#post({ kind: 'run', job, model, feeds, fetches }, buffersOf(feeds.values()));
    });
  }

  unload(model: number): void {
    this.#post({ kind: 'unload', model });
  }

  /**
   * Ends the thread after what it was told before. It is never terminated from outside: while ONNX Runtime
   * computes, that ends the whole process ("terminate called after throwing an instance of 'Napi::Error'").
   */
  async close(): Promise<void> {
    this.#worker.ref();
    this.#post({ kind: 'close' });
    await this.#ended;
  }

  #post(message: ToWorker, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  #owe(waiting: Waiting): number {
    this.#waiting.set(++this.#jobs, waiting);
    this.#worker.ref();
    return this.#jobs;
  }

  #receive(message: FromWorker): void {
    if (message.kind === 'ready') {
      this.#started = true;
    } else {
      const waiting = this.#waiting.get(message.job);
      this.#waiting.delete(message.job);
      if (waiting?.kind === 'run') this.#running = false;
      if (message.kind === 'failed') waiting?.reject(fromPlain(message.error));
      else if (message.kind === 'loaded' && waiting?.kind === 'load') waiting.resolve(message);
      else if (message.kind === 'done' && waiting?.kind === 'run') waiting.resolve(message);
    }
    if (this.#waiting.size === 0) this.#worker.unref();
    this.#events.onFree();
  }

  #end(code: number): void {
    this.#running = false;
    const error = new TierwiseError(
      'INTERNAL',
      `internal: an inference worker ended: ${this.#fault?.message ?? `exit code ${code}`}`,
      {},
      { cause: this.#fault },
    );
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
    this.#events.onEnd(error);
  }
}
