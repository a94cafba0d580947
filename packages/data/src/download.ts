import { createHash, randomUUID } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { TierwiseError, toTierwiseError } from '@tierwise/core';
import type { PublishedFile } from './known.ts';

/** How far a download is. */
export interface DownloadProgress {
  readonly file: string;
  readonly receivedBytes: number;
  readonly totalBytes: number;
}

/** How a download is followed and ended. */
export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
}

/**
 * Fetches `url`, checks its length and digest, and writes it to `target` (whose folder is made): the file is whole or
 * absent, even when the process is killed or two processes do this at once. Gives the bytes.
 * @throws TierwiseError DATA_MISSING when the publisher cannot be reached, DATA_CORRUPT when the bytes are not the
 *   expected ones, FILE_UNREADABLE when `target` cannot be written, CANCELLED by `signal`
 */
export async function download(
  url: string,
  expected: PublishedFile,
  target: string,
  options: DownloadOptions = {},
): Promise<Uint8Array> {
  const bytes = await receive(url, expected, options);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (bytes.length !== expected.bytes || sha256 !== expected.sha256) {
    throw new TierwiseError(
      'DATA_CORRUPT',
      `${url}: ${bytes.length} bytes with SHA-256 ${sha256} are not the publisher's file (${expected.bytes} bytes, ${expected.sha256})`,
      { file: expected.name, url },
    );
  }
  const temporary = `${target}.${randomUUID()}.tmp`;
  try {
    await mkdir(dirname(target), { recursive: true });
    await writeFile(temporary, bytes, { signal: options.signal });
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    if (options.signal?.aborted) throw toTierwiseError(options.signal.reason);
    throw new TierwiseError(
      'FILE_UNREADABLE',
      `${target}: cannot be written: ${error instanceof Error ? error.message : error}`,
      { file: target },
      { cause: error },
    );
  }
  return bytes;
}

/** The body of `url`, at most one byte more than expected, so that a wrong server cannot fill the memory. */
async function receive(
  url: string,
  { name, bytes: totalBytes }: PublishedFile,
  { signal, onProgress }: DownloadOptions,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let receivedBytes = 0;
  try {
    const response = await fetch(url, signal ? { signal } : {});
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      throw new Error(`the server answers ${response.status} ${response.statusText}`.trimEnd());
    }
    for await (const chunk of response.body) {
      chunks.push(chunk);
      receivedBytes += chunk.length;
      onProgress?.({ file: name, receivedBytes, totalBytes });
      if (receivedBytes > totalBytes) break;
    }
  } catch (error) {
    if (signal?.aborted) throw toTierwiseError(signal.reason);
    throw new TierwiseError(
      'DATA_MISSING',
      `${name} is not on this machine and cannot be downloaded from ${url}: ${reason(error)}`,
      { file: name, url },
      { cause: error },
    );
  }
  return Buffer.concat(chunks);
}

/** What went wrong in words; fetch hides it in the cause. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
