import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { TierwiseError } from '@tierwise/core';

const decoders = new Map([
  ['gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
]);

/**
 * A request body as it was before `encoding` (the Content-Encoding header). What a few bytes can expand to is
 * bounded by the limit that holds for bodies anyway.
 * @throws TierwiseError REQUEST_INVALID for another encoding or damaged bytes; BODY_TOO_LARGE
 */
export async function inflated(
  body: Uint8Array,
  encoding: string | undefined,
  limitBytes: number,
): Promise<Uint8Array> {
  if (encoding === undefined || encoding === 'identity') return body;
  const decode = decoders.get(encoding);
  if (decode === undefined) {
    throw new TierwiseError(
      'REQUEST_INVALID',
      `Content-Encoding ${encoding.slice(0, 32)}; this edge reads ${[...decoders.keys()].join(', ')}`,
    );
  }
  try {
    return await decode(body, { maxOutputLength: limitBytes });
  } catch (cause) {
    const tooLarge = cause instanceof Error && 'code' in cause && cause.code === 'ERR_BUFFER_TOO_LARGE';
    throw tooLarge
      ? new TierwiseError('BODY_TOO_LARGE', `the body expands to more than ${limitBytes} bytes`)
      : new TierwiseError('REQUEST_INVALID', `the body is not ${encoding}`, {}, { cause });
  }
}
