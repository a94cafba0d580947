import { type Tensor, TierwiseError, toTierwiseError } from '@tierwise/core';
import type { RunOptions } from '@tierwise/plan';
import { join, split, type Trial } from './batches.ts';
import type { PortInfo, SessionOptions } from './session.ts';
import { InferenceThread } from './thread.ts';

/** How much is computed at once, and how much may wait. */
export interface PoolOptions {
  /** Worker threads, each with its own copy of every model; default 1. */
  readonly workers?: number;
  /** Runs that may wait for a free worker; one more fails with OVERLOADED. Default 64. */
  readonly queueLimit?: number;
  /**
   * Samples that waiting runs of one model are joined into, where a trial at loading shows that this changes
   * nothing. Nobody waits for company: a worker that gets free takes what is there. Default 1.
   */
  readonly maxBatch?: number;
  /** Told of every run that a worker did: how many samples it held and how long it computed. */
  readonly onRun?: (samples: number, computeMs: number) => void;
}

/** A model that is loaded in every worker of a pool. */
export interface PoolModel {
  readonly inputs: readonly PortInfo[];
  readonly outputs: readonly PortInfo[];
  /**
   * Runs the graph on a free worker, in the order of the calls, perhaps together with others. `feeds` is copied
   * before this returns; the outputs belong to the caller. Times are those of the whole run. A run that has begun cannot be stopped: when `signal` aborts then, the caller
   * is released and the result is dropped.
   * @throws TierwiseError OVERLOADED, CANCELLED, DISPOSED; INTERNAL when the worker died; what `OrtSession.run` throws
   */
  run(
    feeds: ReadonlyMap<string, Tensor>,
    fetches?: readonly string[],
    options?: RunOptions,
  ): Promise<Map<string, Tensor>>;
  /** Unloads the model from every worker; runs that wait for a worker fail with DISPOSED. Idempotent. */
  dispose(): Promise<void>;
}

interface Model {
  readonly id: number;
  readonly bytes: SharedArrayBuffer;
  readonly options: SessionOptions;
  readonly trial: Trial | undefined;
  /** Samples that one run may hold; 1 until a trial succeeds. */
  maxBatch: number;
}

/** A run that waits for a worker. */
interface QueuedRun {
  readonly model: Model;
  readonly feeds: ReadonlyMap<string, Tensor>;
  readonly fetches: readonly string[] | undefined;
  /** Equal for runs that may be joined. */
  readonly kind: string;
  readonly samples: number;
  readonly queuedAt: number;
  resolve(result: { outputs: Map<string, Tensor>; queueMs: number; computeMs: number }): void;
  reject(error: unknown): void;
}

/**
 * Worker threads that run graphs, because ONNX Runtime blocks the thread it is called on. A worker that dies
 * fails the run that it had with INTERNAL and is replaced; runs that wait stay in the queue. Idle workers do not
 * keep the process alive.
 */
export class OrtPool {
  readonly #workers: number;
  readonly #queueLimit: number;
  readonly #maxBatch: number;
  readonly #onRun: PoolOptions['onRun'];
  readonly #threads = new Set<InferenceThread>();
  readonly #models = new Map<number, Model>();
  #queue: QueuedRun[] = [];
  #lastModel = 0;
  #disposed = false;

  constructor(options: PoolOptions = {}) {
    this.#workers = Math.max(1, options.workers ?? 1);
    this.#queueLimit = options.queueLimit ?? 64;
    this.#maxBatch = Math.max(1, options.maxBatch ?? 1);
    this.#onRun = options.onRun;
  }

  /** Runs that wait for a worker. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Runs that compute now. */
  get running(): number {
    return [...this.#threads].filter((thread) => thread.running).length;
  }

  /**
   * Loads ONNX bytes in every worker. `bytes` is copied once, into memory that the workers share. Runs are only
   * joined for models whose `section` is given.
   * @throws TierwiseError MODEL_CORRUPT | MODEL_UNSUPPORTED; INTERNAL when a worker does not start; DISPOSED
   */
  async open(bytes: Uint8Array, options: SessionOptions = {}, section?: Trial): Promise<PoolModel> {
    if (this.#disposed) throw new TierwiseError('DISPOSED', 'the inference pool was disposed');
    this.#startThreads();
    const model: Model = {
      id: ++this.#lastModel,
      bytes: new SharedArrayBuffer(bytes.byteLength),
      options,
      trial: this.#maxBatch > 1 ? section : undefined,
      maxBatch: 1,
    };
    new Uint8Array(model.bytes).set(bytes);
    this.#models.set(model.id, model);
    const loads = [...this.#threads].map((thread) =>
      thread.load(model.id, model.bytes, options, model.trial),
    );
    try {
      const [first] = await Promise.all(loads);
      const { inputs, outputs, batches } = first!;
      if (batches) model.maxBatch = this.#maxBatch;
      return {
        inputs,
        outputs,
        run: (feeds, fetches, runOptions) => this.#run(model, feeds, fetches, runOptions),
        dispose: async () => this.#unload(model.id),
      };
    } catch (error) {
      this.#unload(model.id);
      throw error;
    }
  }

  /** Ends the workers: runs that compute finish, runs that wait fail with DISPOSED. Idempotent. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    for (const model of [...this.#models.keys()]) this.#unload(model);
    await Promise.all([...this.#threads].map((thread) => thread.close()));
  }

  async #run(
    model: Model,
    feeds: ReadonlyMap<string, Tensor>,
    fetches: readonly string[] | undefined,
    { signal, onTimings }: RunOptions = {},
  ): Promise<Map<string, Tensor>> {
    if (signal?.aborted) throw abortError(signal);
    if (!this.#models.has(model.id)) throw unloaded();
    const room = this.#queueLimit + this.#freeThreads().length * model.maxBatch;
    if (this.#queue.length >= room) {
      throw new TierwiseError(
        'OVERLOADED',
        `${this.#queue.length} runs already wait for ${this.#workers} worker(s)`,
        { queued: this.#queue.length, workers: this.#workers },
      );
    }
    this.#startThreads();
    // Own copies: the caller keeps its tensors, which may be views of one large buffer; ours are transferred.
    const own = new Map([...feeds].map(([name, t]) => [name, { ...t, data: t.data.slice() } as Tensor]));
    const { outputs, ...timings } = await new Promise<Parameters<QueuedRun['resolve']>[0]>(
      (resolve, reject) => {
        const abort = (): void => {
          this.#queue = this.#queue.filter((queued) => queued !== run);
          reject(abortError(signal));
        };
        const settled = (): void => signal?.removeEventListener('abort', abort);
        const run: QueuedRun = {
          model,
          feeds: own,
          fetches,
          kind: JSON.stringify([fetches, [...own].map(([name, t]) => [name, t.dtype, t.dims.slice(1)])]),
          samples: own.values().next().value?.dims[0] ?? 1,
          queuedAt: performance.now(),
          resolve: (result) => {
            settled();
            resolve(result);
          },
          reject: (error) => {
            settled();
            reject(error);
          },
        };
        signal?.addEventListener('abort', abort, { once: true });
        this.#queue.push(run);
        // Requests that were read from the network together come in the same turn of the event loop: let them join.
        if (model.maxBatch > 1) setImmediate(() => this.#dispatch());
        else this.#dispatch();
      },
    );
    onTimings?.(timings);
    return outputs;
  }

  #freeThreads(): InferenceThread[] {
    return [...this.#threads].filter((thread) => thread.free);
  }

  /** Gives waiting runs to free workers, oldest first. */
  #dispatch(): void {
    for (const thread of this.#freeThreads()) {
      const runs = this.#takeRuns();
      if (runs.length > 0) void this.#start(thread, runs);
    }
  }

  /** Takes the oldest run out of the queue, with as many of its kind as fit a batch. */
  #takeRuns(): QueuedRun[] {
    const [first] = this.#queue;
    if (first === undefined) return [];
    let room = first.model.maxBatch - first.samples;
    const taken = this.#queue.filter((run) => {
      if (run === first) return true;
      const fits = run.model === first.model && run.kind === first.kind && run.samples <= room;
      if (fits) room -= run.samples;
      return fits;
    });
    this.#queue = this.#queue.filter((run) => !taken.includes(run));
    return taken;
  }

  async #start(thread: InferenceThread, runs: readonly QueuedRun[]): Promise<void> {
    const startedAt = performance.now();
    const [{ model, feeds, fetches }] = runs as [QueuedRun];
    try {
      const one = runs.length === 1;
      const { outputs, computeMs } = await thread.run(
        model.id,
        one ? feeds : join(runs.map((run) => run.feeds)),
        fetches,
      );
      const sizes = runs.map(({ samples }) => samples);
      const parts = one ? [outputs] : split(outputs, sizes);
      for (const [i, run] of runs.entries()) {
        run.resolve({ outputs: parts[i]!, queueMs: startedAt - run.queuedAt, computeMs });
      }
      this.#onRun?.(
        sizes.reduce((sum, size) => sum + size),
        computeMs,
      );
    } catch (error) {
      for (const run of runs) run.reject(error);
    }
  }

  /** Brings the pool to its full number of threads. A new one first loads every model there is. */
  #startThreads(): void {
    while (this.#threads.size < this.#workers && !this.#disposed) {
      const thread: InferenceThread = new InferenceThread({
        onFree: () => this.#dispatch(),
        onEnd: (error) => this.#lose(thread, error),
      });
      this.#threads.add(thread);
      for (const { id, bytes, options, trial } of this.#models.values()) {
        // It loaded before, elsewhere; should it fail here, the runs that need it report the failure.
        thread.load(id, bytes, options, trial).catch(() => undefined);
      }
    }
  }

  /** A worker that ended is replaced. When none can start at all, waiting runs would wait for ever: they fail. */
  #lose(thread: InferenceThread, error: TierwiseError): void {
    this.#threads.delete(thread);
    if (thread.started) this.#startThreads();
    if (this.#threads.size === 0) for (const run of this.#queue.splice(0)) run.reject(error);
  }

  #unload(model: number): void {
    if (!this.#models.delete(model)) return;
    for (const thread of this.#threads) thread.unload(model);
    const orphans = this.#queue.filter((run) => run.model.id === model);
    this.#queue = this.#queue.filter((run) => run.model.id !== model);
    for (const run of orphans) run.reject(unloaded());
  }
}

function unloaded(): TierwiseError {
  return new TierwiseError('DISPOSED', 'the model was unloaded');
}

/** The reason of an abort when it says something; otherwise CANCELLED. */
function abortError(signal: AbortSignal | undefined): TierwiseError {
  const error = toTierwiseError(signal?.reason);
  return error.code === 'INTERNAL' ? new TierwiseError('CANCELLED', 'the run was cancelled') : error;
}
