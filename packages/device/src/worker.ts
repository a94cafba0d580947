import { TierwiseError } from '@tierwise/core';
import { checkThreshold, throwIfAborted } from '@tierwise/runtime';
import type { Composite, CompositeEvents, LoadOptions, Picture } from './api.ts';
import { manifestUrl, resolve } from './bundle.ts';
import { createEvents } from './events.ts';
import { checkedSize, isRaw, unreadable } from './pixels.ts';
import { connect } from './worker-calls.ts';
import type { PlainOptions, Result, SentPicture, Snapshot } from './worker-messages.ts';

/**
 * Engines, strategies of one's own and replacements of globals cannot be sent to a worker: a worker that has them is
 * started by `worker`, and its script calls `serve` of `@tierwise/device/serve` with them. The one that is started
 * otherwise knows all strategies of `@tierwise/plan` and the binary engine.
 */
export interface WorkerLoadOptions extends PlainOptions, Pick<LoadOptions, 'signal' | 'onProgress'> {
  readonly worker?: (() => Worker) | undefined;
}

/**
 * Fetches and prepares a bundle, as `Load` says, with engine and link in a worker of its own, so that the page stays
 * smooth. Pictures are copied for it and stay the caller's. `dispose` ends the worker.
 * @throws TierwiseError as `Load` says; ENGINE_MISSING when no worker can be started
 */
export async function load(url: string | URL, options: WorkerLoadOptions = {}): Promise<Composite> {
  const { signal, onProgress, worker: start = startWorker, ...plain } = options;
  throwIfAborted(signal);
  const address = resolve(url, globalThis.location?.href).href;
  const events = createEvents<CompositeEvents>();
  let snapshot: Snapshot;
  const calls = connect(start, ({ name, detail }) => {
    if (name === 'edge') snapshot = { ...snapshot, edgeState: detail };
    events.emit(name, detail);
  });
  let threshold: number | undefined;
  let disposed: Promise<void> | undefined;

  function checkAlive(): void {
    if (disposed !== undefined) throw gone();
  }

  let loaded: Result;
  try {
    const manifest = await askAhead(manifestUrl(address), signal);
    loaded = await calls.call(
      { kind: 'load', url: address, manifest, options: plain },
      { signal, onProgress },
    );
  } catch (error) {
    calls.end(gone());
    throw error;
  }
  const manifest = loaded.manifest!;
  snapshot = loaded.snapshot!;

  function dispose(): Promise<void> {
    disposed ??= calls.call({ kind: 'dispose' }).then(
      () => calls.end(gone()),
      () => calls.end(gone()),
    );
    return disposed;
  }

  return {
    manifest,
    get plan() {
      return snapshot.plan;
    },
    get edgeState() {
      return snapshot.edgeState;
    },
    get threshold() {
      return snapshot.threshold === undefined ? undefined : (threshold ?? snapshot.threshold);
    },
    async classify(picture, { signal, ...rest } = {}) {
      const started = performance.now();
      checkAlive();
      throwIfAborted(signal);
      const limit = rest.threshold ?? threshold;
      const { sent, transfer } = await toSend(picture);
      try {
        checkAlive();
        const call = { kind: 'classify', picture: sent, options: { ...rest, threshold: limit } } as const;
        const { answer } = await calls.call(call, { signal, transfer });
        return { ...answer!, totalMs: performance.now() - started };
      } finally {
        // The copy that never left; one that did is the worker's.
        if ('close' in sent) sent.close();
      }
    },
    async use(strategy, during) {
      checkAlive();
      snapshot = (await calls.call({ kind: 'use', strategy }, during)).snapshot!;
    },
    setThreshold(value) {
      checkThreshold(value);
      threshold = value;
    },
    on: events.on,
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

/** The manifest, which comes while the worker's script does; undefined where the worker has to ask for it itself. */
async function askAhead(url: URL, signal: AbortSignal | undefined): Promise<ArrayBuffer | undefined> {
  try {
    const response = await fetch(url, signal === undefined ? {} : { signal });
    // A redirect moves everything that is relative to the manifest.
    return response.ok && !response.redirected ? await response.arrayBuffer() : undefined;
  } catch {
    return undefined;
  }
}

function startWorker(): Worker {
  return new Worker(new URL('./worker-thread.js', import.meta.url), { type: 'module' });
}

/** A copy of the picture as it is now, to be given away. @throws TierwiseError IMAGE_INVALID */
async function toSend(picture: Picture): Promise<{ sent: SentPicture; transfer: Transferable[] }> {
  if (isRaw(picture)) {
    const data = picture.data.slice();
    return { sent: { data, width: picture.width, height: picture.height }, transfer: [data.buffer] };
  }
  checkedSize(picture);
  try {
    const sent = 'displayWidth' in picture ? picture.clone() : await createImageBitmap(picture);
    return { sent, transfer: [sent] };
  } catch (cause) {
    throw unreadable(cause);
  }
}

function gone(): TierwiseError {
  return new TierwiseError('DISPOSED', 'the composite has been disposed');
}
