import { sha256Hex } from '@tierwise/core';
import { type Artifact, type Digest, type Manifest, parseManifest } from '@tierwise/plan';
import type { CacheLike, LoadOptions } from './api.ts';
import { type ArtifactFetch, manifestUrl } from './bundle.ts';

/*
 * What is kept of bundles, in Cache Storage or something like it: artifacts and unfinished downloads of them by digest,
 * and every version of a manifest that was met, with the time when. None of these addresses exists; they are names.
 */
const artifactKey = (digest: Digest) => `https://artifacts.tierwise.invalid/${digest}`;
const partKey = (digest: Digest) => `https://parts.tierwise.invalid/${digest}`;
const manifestKey = (url: string, version: string) =>
  `https://manifests.tierwise.invalid/${version}?of=${encodeURIComponent(url)}`;
const metHeader = 'x-tierwise-met';
const tagHeader = 'x-tierwise-tag';

/** A version of a bundle of which something is kept here. */
export interface KeptVersion {
  /** The first 12 digits of its manifest's digest. */
  readonly version: string;
  readonly name: string;
  /** When the server last offered it. */
  readonly met: Date;
  /** Its files that are here, and the bytes that they take. */
  readonly files: readonly string[];
  readonly bytes: number;
}

interface KeptManifest {
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
async function openStore(cache: NonNullable<LoadOptions['cache']>): Promise<CacheLike> {
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

/**
 * `fetch` for `load`, with what is kept behind it. A manifest comes from the network; when that fails, it is the newest
 * one here whose branch is here, too. An artifact is taken from here when its digest is right, and kept when it has come;
 * a download that breaks off goes on where it was, at once or with the next load.
 */
export async function keepingFetch(
  fetch: ArtifactFetch,
  cache: NonNullable<LoadOptions['cache']>,
): Promise<ArtifactFetch> {
  const store = await openStore(cache);
  return (url, init, artifact) =>
    artifact === undefined
      ? fetchManifest(store, fetch, url, init)
      : fetchArtifact(store, fetch, url, init, artifact);
}

/** The versions of the bundle at `url` of which something is kept, newest first. */
export async function versions(
  url: string | URL,
  { cache = 'default' }: Pick<LoadOptions, 'cache'> = {},
): Promise<KeptVersion[]> {
  const store = await openStore(cache);
  const found = await manifestsOf(store, manifestUrl(url).href);
  return Promise.all(
    found.map(async ({ version, met, manifest }) => {
      const all = artifactsOf(manifest);
      const here = await Promise.all(all.map(({ digest }) => store.match(artifactKey(digest))));
      const kept = all.filter((_, i) => here[i] !== undefined);
      return {
        version,
        name: manifest.name,
        met: new Date(met),
        files: kept.map(({ file }) => file),
        bytes: kept.reduce((sum, { bytes }) => sum + bytes, 0),
      };
    }),
  );
}

/** Deletes what is kept of the bundle at `url`, or of one version, but for files that another bundle shares. */
export async function forget(
  url: string | URL,
  { cache = 'default', version }: Pick<LoadOptions, 'cache'> & { readonly version?: string } = {},
): Promise<void> {
  const store = await openStore(cache);
  const { href } = manifestUrl(url);
  const all = await manifestsOf(store);
  const goes = (one: KeptManifest) => one.url === href && (version === undefined || one.version === version);
  const digestsOf = (some: KeptManifest[]) =>
    new Set(some.flatMap(({ manifest }) => artifactsOf(manifest).map(({ digest }) => digest)));
  const stay = digestsOf(all.filter((one) => !goes(one)));
  const leaving = all.filter(goes);
  for (const { key } of leaving) await store.delete(key);
  for (const digest of digestsOf(leaving)) {
    if (stay.has(digest)) continue;
    await store.delete(artifactKey(digest));
    await store.delete(partKey(digest));
  }
}

const artifactsOf = ({ branch, main }: Manifest): Artifact[] => [branch.artifact, main.artifact];

/** Manifests that are kept and can be read, of one address or of all, the one met last first. */
async function manifestsOf(store: CacheLike, of?: string): Promise<KeptManifest[]> {
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

function readManifest(text: string, url: string): Manifest | undefined {
  try {
    return parseManifest(JSON.parse(text), url);
  } catch {
    return undefined;
  }
}

async function fetchManifest(
  store: CacheLike,
  fetch: ArtifactFetch,
  url: string,
  init: RequestInit,
): Promise<Response> {
  const lost = await fetch(url, init).then(
    async (response) => {
      if (response.status >= 500) return { response };
      const text = response.ok ? await response.clone().text() : '';
      if (readManifest(text, url) !== undefined) {
        const bytes = new TextEncoder().encode(text);
        const version = (await sha256Hex(bytes)).slice(0, 12);
        await store.put(
          manifestKey(url, version),
          new Response(bytes, { headers: { [metHeader]: `${Date.now()}` } }),
        );
      }
      return { answer: response };
    },
    (cause: unknown) => ({ cause }),
  );
  if ('answer' in lost) return lost.answer;
  if (!init.signal?.aborted) {
    for (const { manifest, response } of await manifestsOf(store, url)) {
      if (await store.match(artifactKey(manifest.branch.artifact.digest))) return response;
    }
  }
  if ('response' in lost) return lost.response;
  throw lost.cause;
}

async function fetchArtifact(
  store: CacheLike,
  fetch: ArtifactFetch,
  url: string,
  init: RequestInit,
  artifact: Artifact,
): Promise<Response> {
  const { digest, bytes: length } = artifact;
  const isWhole = async (bytes: Uint8Array) => bytes.length === length && (await sha256Hex(bytes)) === digest;
  const kept = await bytesAt(store, artifactKey(digest));
  if (kept !== undefined) {
    if (await isWhole(kept.bytes)) return new Response(kept.bytes);
    await store.delete(artifactKey(digest));
  }

  const part = await bytesAt(store, partKey(digest));
  let have = part?.bytes ?? new Uint8Array();
  /** What the server called the content; an edge calls it by its digest. */
  let tag = part?.headers.get(tagHeader) ?? `"${digest}"`;

  /** Asks for what is missing. Its body begins with `skip` bytes that are here. */
  async function ask(): Promise<{ response: Response; skip: number }> {
    const headers = { range: `bytes=${have.length}-`, 'if-range': tag };
    const response = await fetch(url, have.length === 0 ? init : { ...init, headers }, artifact);
    const theirs = response.headers.get('etag');
    // A compressed body has a name of its own; bytes are counted without compression.
    if (theirs?.startsWith('"') && !response.headers.has('content-encoding')) tag = theirs;
    return { response, skip: response.status === 206 ? 0 : have.length };
  }

  /** Reads one answer to its end, all that is new of it into `take`. */
  async function read(
    { response, skip }: Awaited<ReturnType<typeof ask>>,
    take: (bytes: Uint8Array) => void,
  ) {
    const reader = response.body?.getReader();
    for (let next = await reader?.read(); next?.value !== undefined; next = await reader?.read()) {
      const fresh = next.value.subarray(skip);
      skip = Math.max(0, skip - next.value.length);
      if (fresh.length > 0) take(fresh);
    }
  }

  let answer = await ask();
  if (answer.response.status === 416) {
    // What is here is no beginning of what is there.
    have = new Uint8Array();
    answer = await ask();
  }
  if (!answer.response.ok) return answer.response;
  const arrived = [have];
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      const count = () => arrived.reduce((sum, { length: one }) => sum + one, 0);
      const take = (bytes: Uint8Array) => {
        arrived.push(bytes.slice());
        controller.enqueue(bytes);
      };
      if (have.length > 0) controller.enqueue(have.slice());
      for (;;) {
        try {
          await read(answer, take);
          break;
        } catch (cause) {
          const advanced = count() > have.length;
          have = joined(arrived);
          const again = advanced && !init.signal?.aborted ? await ask().catch(() => undefined) : undefined;
          if (again?.response.ok) {
            answer = again;
            continue;
          }
          await store.put(partKey(digest), new Response(have, { headers: { [tagHeader]: tag } }));
          controller.error(cause);
          return;
        }
      }
      controller.close();
      const bytes = joined(arrived);
      if (await isWhole(bytes)) await store.put(artifactKey(digest), new Response(bytes));
      await store.delete(partKey(digest));
    },
  });
  return new Response(body);
}

async function bytesAt(store: CacheLike, key: string) {
  const found = await store.match(key);
  return found && { bytes: new Uint8Array(await found.arrayBuffer()), headers: found.headers };
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
