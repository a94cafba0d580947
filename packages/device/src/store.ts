import { type Artifact, type Digest, type Manifest, parseManifest } from '@tierwise/plan';
import type { CacheLike, LoadOptions } from './api.ts';

/*
 * What is kept of bundles, in Cache Storage or something like it: artifacts and unfinished downloads of them by digest,
 * and every version of a manifest that was met, with the time when. None of these addresses exists; they are names.
 */
export const artifactKey = (digest: Digest) => `https://artifacts.tierwise.invalid/${digest}`;
export const partKey = (digest: Digest) => `https://parts.tierwise.invalid/${digest}`;
export const manifestKey = (url: string, version: string) =>
  `https://manifests.tierwise.invalid/${version}?of=${encodeURIComponent(url)}`;
export const metHeader = 'x-tierwise-met';
export const tagHeader = 'x-tierwise-tag';

export interface KeptManifest {
  readonly key: string;
  readonly url: string;
  readonly version: string;
  readonly met: number;
  readonly response: Response;
  readonly manifest: Manifest;
}

/** Where Cache Storage is missing, forbidden or full. It lasts as long as the page. */
const memory: CacheLike = (() => {
  const entries = new Map<string, Response>();
  return {
    match: async (url) => entries.get(url)?.clone(),
    put: async (url, response) => void entries.set(url, response),
    delete: async (url) => entries.delete(url),
    keys: async () => [...entries.keys()].map((url) => ({ url })),
  };
})();

/** The store with memory behind it, so that a store that fails or is full never fails a caller. */
export async function openStore(cache: NonNullable<LoadOptions['cache']>): Promise<CacheLike> {
  const none = Promise.resolve(memory);
  const store = await (typeof cache === 'object'
    ? cache
    : cache === 'none' || typeof caches === 'undefined'
      ? none
      : caches.open('tierwise').catch(() => none));
  return {
    match: async (url) => (await store.match(url).catch(() => undefined)) ?? memory.match(url),
    async put(url, response) {
      const spare = response.clone();
      await store.put(url, response).catch(() => memory.put(url, spare));
    },
    async delete(url) {
      const deleted = await Promise.all([store.delete(url).catch(() => false), memory.delete(url)]);
      return deleted.includes(true);
    },
    async keys() {
      const [kept, spare] = await Promise.all([store.keys().catch(() => []), memory.keys()]);
      return store === memory ? spare : [...kept, ...spare];
    },
  };
}

export const artifactsOf = ({ branch, main }: Manifest): Artifact[] => [branch.artifact, main.artifact];

/** Manifests that are kept and can be read, of one address or of all, the one met last first. */
export async function manifestsOf(store: CacheLike, of?: string): Promise<KeptManifest[]> {
  const found: KeptManifest[] = [];
  for (const { url: key } of await store.keys()) {
    const { host, pathname, searchParams } = new URL(key);
    const url = searchParams.get('of');
    if (host !== 'manifests.tierwise.invalid' || url === null || (of !== undefined && url !== of)) continue;
    const response = await store.match(key);
    const manifest = response && readManifest(await response.clone().text(), url);
    if (manifest === undefined) continue;
    const met = Number(response!.headers.get(metHeader));
    found.push({ key, url, version: pathname.slice(1), met, response: response!, manifest });
  }
  return found.sort((a, b) => b.met - a.met);
}

export function readManifest(text: string, url: string): Manifest | undefined {
  try {
    return parseManifest(JSON.parse(text), url);
  } catch {
    return undefined;
  }
}
