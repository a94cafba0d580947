import { type Tensor, TierwiseError, toTierwiseError } from '@tierwise/core';
import type { RunOptions } from '@tierwise/plan';
import type { PortInfo, SessionOptions } from './session.ts';
import { InferenceThread, type RunResult } from './thread.ts';

export interface PoolOptions {
  /** Worker threads, each with its own copy of every model; default 1. */
  readonly workers?: number;
  /** Runs that may wait for a free worker; one more fails with OVERLOADED. Default 64. */
  readonly queueLimit?: number;
}

/** A model that is loaded in every worker of a pool. */
export interface PoolModel {
  readonly inputs: readonly PortInfo[];
  readonly outputs: readonly PortInfo[];
  /**
   * Runs the graph on a free worker, in the order of the calls. `feeds` is copied before this returns; the
   * outputs belong to the caller. A run that has begun cannot be stopped: when `signal` aborts then, the caller
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
}

/** A run that waits for a worker. */
interface QueuedRun {
  readonly model: number;
  start(thread: InferenceThread): void;
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
  readonly #threads = new Set<InferenceThread>();
  readonly #models = new Map<number, Model>();
  #queue: QueuedRun[] = [];
  #lastModel = 0;
  #disposed = false;

  constructor(options: PoolOptions = {}) {
    this.#workers = Math.max(1, options.workers ?? 1);
    this.#queueLimit = options.queueLimit ?? 64;
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
   * Loads ONNX bytes in every worker. `bytes` is copied once, into memory that the workers share.
   * @throws TierwiseError MODEL_CORRUPT | MODEL_UNSUPPORTED; INTERNAL when a worker does not start; DISPOSED
   */
  async open(bytes: Uint8Array, options: SessionOptions = {}): Promise<PoolModel> {
    if (this.#disposed) throw new TierwiseError('DISPOSED', 'the inference pool was disposed');
    this.#startThreads();
    const model: Model = { id: ++this.#lastModel, bytes: new SharedArrayBuffer(bytes.byteLength), options };
    new Uint8Array(model.bytes).set(bytes);
    this.#models.set(model.id, model);
    const loads = [...this.#threads].map((thread) => thread.load(model.id, model.bytes, options));
    try {
      const [first] = await Promise.all(loads);
      const { inputs, outputs } = first!;
      return {
        inputs,
        outputs,
        run: (feeds, fetches, runOptions) => this.#run(model.id, feeds, fetches, runOptions),
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
    model: number,
    feeds: ReadonlyMap<string, Tensor>,
    fetches: readonly string[] | undefined,
    { signal, onTimings }: RunOptions = {},
  ): Promise<Map<string, Tensor>> {
    if (signal?.aborted) throw abortError(signal);
    if (!this.#models.has(model)) throw unloaded();
    if (this.#queue.length >= this.#queueLimit && !this.#freeThread()) {
      throw new TierwiseError(
        'OVERLOADED',
        `${this.#queue.length} runs already wait for ${this.#workers} worker(s)`,
        { queued: this.#queue.length, workers: this.#workers },
      );
    }
    this.#startThreads();
    // Own copies: the caller keeps its tensors, which may be views of one large buffer; ours are transferred.
    const own = new Map([...feeds].map(([name, t]) => [name, { ...t, data: t.data.slice() } as Tensor]));
    const queuedAt = performance.now();
    let queueMs = 0;
    const { outputs, computeMs } = await new Promise<RunResult>((resolve, reject) => {
      const abort = (): void => {
        this.#queue = this.#queue.filter((queued) => queued !== run);
        reject(abortError(signal));
      };
      const settled = (): void => signal?.removeEventListener('abort', abort);
      const run: QueuedRun = {
        model,
        start: (thread) => {
          queueMs = performance.now() - queuedAt;
          thread.run(model, own, fetches).then(resolve, reject).finally(settled);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#queue.push(run);
      this.#dispatch();
    });
    onTimings?.({ queueMs, computeMs });
    return outputs;
  }

  #freeThread(): InferenceThread | undefined {
    return [...this.#threads].find((thread) => thread.free);
  }

  /** Gives waiting runs to free workers, oldest first. */
  #dispatch(): void {
    for (let thread = this.#freeThread(); thread !== undefined; thread = this.#freeThread()) {
      const run = this.#queue.shift();
      if (run === undefined) return;
      run.start(thread);
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
      for (const { id, bytes, options } of this.#models.values()) {
        // It loaded before, elsewhere; should it fail here, the runs that need it report the failure.
        thread.load(id, bytes, options).catch(() => undefined);
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
    const orphans = this.#queue.filter((run) => run.model === model);
    this.#queue = this.#queue.filter((run) => run.model !== model);
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
