import { TierwiseError, toTierwiseError } from '@tierwise/core';
import type { Composite, CompositeEvents, LoadOptions } from './api.ts';
import { manifestUrl } from './bundle.ts';
import { load } from './load.ts';
import type { Event, FromWorker, Result, Snapshot, ToWorker } from './worker-messages.ts';

/** The worker itself, as far as it is used. */
interface Port {
  postMessage(message: FromWorker): void;
  addEventListener(type: 'message', listener: (event: { readonly data: ToWorker }) => void): void;
}

/** What cannot be sent to a worker: it has its own. */
export type ServeOptions = Pick<LoadOptions, 'engines' | 'strategies' | 'fetch' | 'WebSocket' | 'random'>;

const eventNames: readonly (keyof CompositeEvents)[] = ['edge', 'degraded', 'outdated'];

/** `fetch`, with the answer to the first request for `url`. */
function answering(url: string, body: ArrayBuffer): typeof fetch {
  let answer: Response | undefined = new Response(body);
  return async (input, init) => {
    if (answer === undefined || input !== url) return fetch(input, init);
    const given = answer;
    answer = undefined;
    return given;
  };
}

/**
 * Makes this worker the one that a page gives to `load` of `@tierwise/device`: a composite lives here, and does
 * what the page asks for. To be called at once, before the script waits for anything.
 */
export function serve(options: ServeOptions = {}, port: Port = globalThis as unknown as Port): void {
  const underWay = new Map<number, AbortController>();
  let composite: Composite | undefined;

  function alive(): Composite {
    if (composite === undefined) throw new TierwiseError('DISPOSED', 'there is no composite in this worker');
    return composite;
  }

  function snapshot(): Snapshot {
    const { plan, edgeState, threshold } = alive();
    return { plan, edgeState, threshold };
  }

  async function run(message: ToWorker, signal: AbortSignal): Promise<Result> {
    const { id } = message;
    const onProgress: LoadOptions['onProgress'] = (progress) =>
      port.postMessage({ id, kind: 'progress', progress });
    switch (message.kind) {
      case 'load': {
        const { url, manifest } = message;
        const fetch = options.fetch ?? (manifest && answering(manifestUrl(url).href, manifest));
        const loaded = await load(url, { ...message.options, ...options, fetch, signal, onProgress });
        composite = loaded;
        for (const name of eventNames) {
          loaded.on(name, (detail) => port.postMessage({ kind: 'event', event: { name, detail } as Event }));
        }
        return { manifest: loaded.manifest, snapshot: snapshot() };
      }
      case 'classify': {
        const { picture } = message;
        try {
          return { answer: await alive().classify(picture, { ...message.options, signal }) };
        } finally {
          if ('close' in picture) picture.close();
        }
      }
      case 'use':
        await alive().use(message.strategy, { signal, onProgress });
        return { snapshot: snapshot() };
      case 'dispose':
        await composite?.dispose();
        return {};
      case 'abort':
        underWay.get(id)?.abort();
        return {};
    }
  }

  port.addEventListener('message', async ({ data: message }) => {
    const { id, kind } = message;
    const abort = new AbortController();
    if (kind !== 'abort') underWay.set(id, abort);
    try {
      const result = await run(message, abort.signal);
      if (kind !== 'abort') port.postMessage({ id, kind: 'done', result });
    } catch (thrown) {
      const { code, message: text, details } = toTierwiseError(thrown);
      port.postMessage({ id, kind: 'failed', error: { code, message: text, details } });
    } finally {
      if (kind !== 'abort') underWay.delete(id);
    }
  });
}
