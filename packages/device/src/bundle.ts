import { TierwiseError, toTierwiseError } from '@tierwise/core';
import { type Artifact, type Manifest, parseManifest } from '@tierwise/plan';
import { abortError } from '@tierwise/runtime';
import type { Progress } from './api.ts';

/** A manifest and the address that its own addresses are relative to. */
export interface Located {
  readonly manifest: Manifest;
  readonly url: URL;
}

interface FetchOptions {
  readonly fetch: typeof fetch;
  readonly signal: AbortSignal | undefined;
}

/**
 * Fetches the manifest of the bundle at `url`, its folder or the manifest.json itself.
 * @throws TierwiseError REQUEST_INVALID, MODEL_UNKNOWN, EDGE_UNREACHABLE, MANIFEST_INVALID, CANCELLED
 */
export async function fetchManifest(address: string | URL, options: FetchOptions): Promise<Located> {
  const url = resolve(address, globalThis.location?.href);
  if (!url.pathname.endsWith('.json')) url.pathname = `${url.pathname.replace(/\/$/, '')}/manifest.json`;
  const response = await get(url, 'MODEL_UNKNOWN', options);
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

/**
 * Fetches `artifacts` one after the other and tells of every part that arrives. Bytes are counted, not checked
 * against their digest: the runtime does that before it loads them.
 * @throws TierwiseError ARTIFACT_UNKNOWN, EDGE_UNREACHABLE, DIGEST_MISMATCH on another length, CANCELLED
 */
export async function fetchArtifacts(
  { manifest, url }: Located,
  artifacts: readonly Artifact[],
  options: FetchOptions & { readonly onProgress: ((progress: Progress) => void) | undefined },
): Promise<Uint8Array[]> {
  const totalBytes = artifacts.reduce((sum, artifact) => sum + artifact.bytes, 0);
  const folder = manifest.served?.artifacts.replace(/\/?$/, '/');
  const files: Uint8Array[] = [];
  let before = 0;
  for (const artifact of artifacts) {
    const { file, digest, bytes } = artifact;
    const report = (loaded: number) =>
      options.onProgress?.({ file, loadedBytes: before + loaded, totalBytes });
    report(0);
    const source = resolve(folder === undefined ? file : folder + digest, url);
    const response = await get(source, 'ARTIFACT_UNKNOWN', options);
    files.push(await readBody(response, artifact, report, options.signal));
    before += bytes;
  }
  return files;
}

/** `address` relative to `base`. @throws TierwiseError REQUEST_INVALID */
export function resolve(address: string | URL, base: string | URL | undefined): URL {
  try {
    return new URL(address, base);
  } catch (cause) {
    throw new TierwiseError('REQUEST_INVALID', `"${address}" is not an address here`, {}, { cause });
  }
}

async function get(
  url: URL,
  missing: 'MODEL_UNKNOWN' | 'ARTIFACT_UNKNOWN',
  { fetch, signal }: FetchOptions,
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url.href, signal === undefined ? {} : { signal });
  } catch (cause) {
    if (signal?.aborted) throw abortError(signal);
    throw new TierwiseError('EDGE_UNREACHABLE', `${url} cannot be fetched`, { url: url.href }, { cause });
  }
  if (response.ok) return response;
  const { status } = response;
  await response.body?.cancel();
  const gone = status === 404 || status === 410;
  throw new TierwiseError(gone ? missing : 'EDGE_UNREACHABLE', `${url} answered with status ${status}`, {
    url: url.href,
    status,
  });
}

/** The body, at most as long as the manifest says, so that a wrong address cannot fill the memory. */
async function readBody(
  response: Response,
  { file, bytes }: Artifact,
  report: (loadedBytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    const reader = response.body?.getReader();
    for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
      length += part.value.length;
      if (length > bytes) {
        await reader?.cancel();
        break;
      }
      parts.push(part.value);
      report(length);
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
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
