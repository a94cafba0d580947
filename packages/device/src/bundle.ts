import { isTierwiseError, TierwiseError, toTierwiseError } from '@tierwise/core';
import { type Arrival, type Artifact, type Manifest, parseManifest } from '@tierwise/plan';
import { abortError } from '@tierwise/runtime';

/** A manifest and the address that its own addresses are relative to. */
export interface Located {
  readonly manifest: Manifest;
  readonly url: URL;
}

/** `fetch`, told which artifact it is that the address has; none for a manifest. */
export type ArtifactFetch = (url: string, init: RequestInit, artifact?: Artifact) => Promise<Response>;

interface FetchOptions {
  readonly fetch: ArtifactFetch;
  readonly signal: AbortSignal | undefined;
}

/**
 * Fetches the manifest of the bundle at `url`, its folder or the manifest.json itself.
 * @throws TierwiseError REQUEST_INVALID, MODEL_UNKNOWN, EDGE_UNREACHABLE, MANIFEST_INVALID, CANCELLED
 */
export async function fetchManifest(address: string | URL, options: FetchOptions): Promise<Located> {
  const url = manifestUrl(address);
  const response = await get(url, options);
  let json: unknown;
  try {
    json = await response.json();
  } catch (cause) {
    if (options.signal?.aborted) throw abortError(options.signal);
    throw new TierwiseError('MANIFEST_INVALID', `${url} is not JSON`, { url: url.href }, { cause });
  }
  // A redirect moves everything that is relative to the manifest.
  return { manifest: parseManifest(json, url.href), url: new URL(response.url || url) };
}

/** Where the manifest is of a bundle at `address`. @throws TierwiseError REQUEST_INVALID */
export function manifestUrl(address: string | URL): URL {
  const url = resolve(address, globalThis.location?.href);
  if (!url.pathname.endsWith('.json')) url.pathname = `${url.pathname.replace(/\/$/, '')}/manifest.json`;
  return url;
}

/**
 * Fetches an artifact; `onBytes` hears how many bytes of it are there. They are counted, not checked against their digest:
 * the runtime does that before they may run.
 * @throws TierwiseError MODEL_UNSUPPORTED when there is no memory for so many; the arrival rejects with
 *   ARTIFACT_UNKNOWN, EDGE_UNREACHABLE, DIGEST_MISMATCH on another length, CANCELLED
 */
export function fetchArtifact(
  { manifest, url }: Located,
  artifact: Artifact,
  options: FetchOptions & { readonly onBytes: (loadedBytes: number) => void },
): Arrival {
  const folder = manifest.served?.artifacts.replace(/\/?$/, '/');
  const source = resolve(folder === undefined ? artifact.file : folder + artifact.digest, url);
  const bytes = reserve(artifact);
  let loaded = 0;
  let next: Promise<void>;
  let tell = () => {};
  const expectMore = () => {
    next = new Promise((resolve) => {
      tell = resolve;
    });
  };
  expectMore();
  const whole = get(source, options, artifact).then((response) =>
    readBody(response, artifact, options.signal, (part) => {
      bytes.set(part, loaded);
      loaded += part.length;
      options.onBytes(loaded);
      tell();
      expectMore();
    }),
  );
  // Who waits is told.
  whole.catch(() => undefined);
  return {
    bytes,
    async reached(count) {
      while (loaded < Math.min(count, bytes.length)) await Promise.race([whole, next]);
      // A body that goes on is none of this artifact.
      if (count >= bytes.length) await whole;
    },
  };
}

function reserve({ file, bytes }: Artifact): Uint8Array {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      `there is no memory for the ${bytes} bytes of ${file}`,
      { file },
      { cause },
    );
  }
}

/** `address` relative to `base`. @throws TierwiseError REQUEST_INVALID */
export function resolve(address: string | URL, base: string | URL | undefined): URL {
  try {
    return new URL(address, base);
  } catch (cause) {
    throw new TierwiseError('REQUEST_INVALID', `"${address}" is not an address here`, {}, { cause });
  }
}

async function get(url: URL, { fetch, signal }: FetchOptions, artifact?: Artifact): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url.href, signal === undefined ? {} : { signal }, artifact);
  } catch (cause) {
    if (signal?.aborted) throw abortError(signal);
    if (isTierwiseError(cause)) throw cause;
    throw new TierwiseError('EDGE_UNREACHABLE', `${url} cannot be fetched`, { url: url.href }, { cause });
  }
  if (response.ok) return response;
  const { status } = response;
  await response.body?.cancel();
  const gone = status === 404 || status === 410;
  const missing = artifact ? 'ARTIFACT_UNKNOWN' : 'MODEL_UNKNOWN';
  throw new TierwiseError(gone ? missing : 'EDGE_UNREACHABLE', `${url} answered with status ${status}`, {
    url: url.href,
    status,
  });
}

/** The body in parts, together as long as the manifest says. */
async function readBody(
  response: Response,
  { file, bytes }: Artifact,
  signal: AbortSignal | undefined,
  onPart: (part: Uint8Array) => void,
): Promise<void> {
  let length = 0;
  try {
    const reader = response.body?.getReader();
    for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
      length += part.value.length;
      if (length > bytes) {
        await reader?.cancel();
        break;
      }
      onPart(part.value);
    }
  } catch (cause) {
    if (signal?.aborted) throw abortError(signal);
    const { message } = toTierwiseError(cause);
    throw new TierwiseError(
      'EDGE_UNREACHABLE',
      `${file} broke off after ${length} bytes: ${message}`,
      { file },
      { cause },
    );
  }
  if (length !== bytes) {
    throw new TierwiseError(
      'DIGEST_MISMATCH',
      `${file} has ${length > bytes ? 'more' : 'fewer'} bytes than the ${bytes} that the manifest says`,
      { file, bytes },
    );
  }
}
