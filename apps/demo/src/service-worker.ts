/**
 * Keeps the page and its small networks for when there is no network. `shell` is written in by the build: the page's
 * files, and `version`, their digest, so that a new page is a new worker with a new store.
 */
declare const shell: readonly string[];
declare const version: string;

/** The part of a service worker's globals that is used; the types of a page and of a worker exclude each other. */
interface Extended extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface Fetched extends Extended {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}
interface Worker {
  skipWaiting(): Promise<void>;
  readonly clients: { claim(): Promise<void> };
  addEventListener(type: 'install' | 'activate', listener: (event: Extended) => void): void;
  addEventListener(type: 'fetch', listener: (event: Fetched) => void): void;
}

const worker = self as unknown as Worker;
const prefix = 'tierwise-demo-';
const store = prefix + version;
const bundles = ['models/lenet-mnist.tierwise/', 'models/lenet-fashion.tierwise/'];

/** A bundle's manifest and branch, under the addresses by which the page asks for them. */
async function keepBundle(cache: Cache, folder: string): Promise<void> {
  const address = new URL(`${folder}manifest.json`, location.href);
  const response = await fetch(address);
  if (!response.ok) return;
  const { branch, served } = (await response.clone().json()) as {
    branch: { artifact: { file: string; digest: string } };
    served?: { artifacts: string };
  };
  await cache.put(address, response);
  const { file, digest } = branch.artifact;
  const named = served && new URL(served.artifacts.replace(/\/?$/, '/') + digest, address);
  await cache.addAll([new URL(file, address), ...(named ? [named] : [])].map(({ href }) => href));
}

worker.addEventListener('install', (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(store);
      await cache.addAll([...shell]);
      // A bundle that is not served here is not missed.
      await Promise.allSettled(bundles.map((folder) => keepBundle(cache, folder)));
      await worker.skipWaiting();
    })(),
  );
});

worker.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys())
        if (name.startsWith(prefix) && name !== store) await caches.delete(name);
      await worker.clients.claim();
    })(),
  );
});

worker.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || new URL(request.url).origin !== location.origin) return;
  event.respondWith(answer(request));
});

/** Files named by their content come from the store; everything else from the network, and from the store without one. */
async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  const cache = await caches.open(store);
  if (/\/(assets|artifacts)\//.test(pathname)) {
    const kept = await cache.match(request);
    if (kept !== undefined) return kept;
  }
  try {
    const response = await fetch(request);
    const mine = await cache.match(request, { ignoreVary: true });
    if (response.status === 200 && mine !== undefined) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(request, { ignoreVary: true, ignoreSearch: true });
    if (kept !== undefined) return kept;
    throw error;
  }
}

// A module, so that its names are its own.
export {};
