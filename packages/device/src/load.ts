import { binaryEngine } from '@tierwise/binary';
import { TierwiseError } from '@tierwise/core';
import type { CompositeEvents, Load, LoadOptions } from './api.ts';
import { type ArtifactFetch, fetchManifest, type Located, resolve } from './bundle.ts';
import { createComposite } from './composite.ts';
import { createEvents } from './events.ts';
import { openLinkLater } from './lazy-link.ts';
import { createPlanner } from './planner.ts';

/** What a browser may say of its visitor's wishes (Network Information). */
type DataSaver = { readonly connection?: { readonly saveData?: boolean } } | undefined;

/** Fetches and prepares a bundle, as `Load` says. */
export const load: Load = async (url, options = {}) => {
  const {
    signal,
    onProgress,
    strategy = 'lcdnn',
    engines = [],
    strategies = {},
    rawInputMayLeave = false,
    random = Math.random,
    cache = 'none',
    audit,
  } = options;
  const { saveData = (globalThis.navigator as DataSaver)?.connection?.saveData } = options;
  const network = options.fetch ?? globalThis.fetch;
  const allowed: ArtifactFetch = (address, init, artifact) => {
    if (saveData && artifact?.engine === 'onnx') {
      throw new TierwiseError(
        'PLAN_INVALID',
        `${artifact.file} is not downloaded: the visitor wants to save data`,
      );
    }
    return network(address, init);
  };
  const fetch =
    cache === 'none'
      ? allowed
      : await import('./keep.ts').then(
          ({ keepingFetch }) => keepingFetch(allowed, cache),
          () => allowed,
        );
  const located = await fetchManifest(url, { fetch, signal });
  const events = createEvents<CompositeEvents>();
  const told = { deviceExits: 0 };
  const stream = streamUrl(located, options.edge ?? true);
  const link =
    stream &&
    openLinkLater({
      url: stream.href,
      WebSocket: options.WebSocket ?? globalThis.WebSocket,
      fetch: network,
      token: options.token,
      random,
      told,
      onState: (state) => events.emit('edge', state),
    });
  const planner = createPlanner({
    located,
    fetch,
    rawInputMayLeave,
    engines: [binaryEngine(), ...engines],
    strategies,
    send: link?.send,
  });
  try {
    const plan = await planner.make(strategy, { signal, onProgress });
    return createComposite(plan, {
      manifest: located.manifest,
      planner,
      link,
      events,
      told,
      audit: saveData ? undefined : audit,
      random,
    });
  } catch (error) {
    link?.close();
    await planner.dispose();
    throw error;
  }
};

/** Address of the edge's WebSocket, or undefined when the bundle names none or the page wants none. */
function streamUrl({ manifest, url }: Located, edge: NonNullable<LoadOptions['edge']>): URL | undefined {
  const address = typeof edge === 'string' ? edge : edge ? manifest.served?.stream : undefined;
  if (address === undefined) return undefined;
  const stream = resolve(address, url);
  stream.protocol = stream.protocol.replace(/^http/, 'ws');
  stream.hash = '';
  if (/^wss?:$/.test(stream.protocol)) return stream;
  throw new TierwiseError('REQUEST_INVALID', `the edge's address "${address}" is neither http(s) nor ws(s)`);
}
