import { sha256Hex } from '@tierwise/core';
import type { Artifact } from '@tierwise/plan';
import type { CacheLike, LoadOptions } from './api.ts';
import type { ArtifactFetch } from './bundle.ts';
import {
  artifactKey,
  manifestKey,
  manifestsOf,
  metHeader,
  openStore,
  partKey,
  readManifest,
  tagHeader,
} from './store.ts';

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
