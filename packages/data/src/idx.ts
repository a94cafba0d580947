import { TierwiseError } from '@tierwise/core';
import { unpacked } from './packed.ts';

/** An IDX file of bytes: `data` holds the product of `dims` values. `file` is where it came from, for messages. */
export interface Idx {
  readonly file: string;
  readonly dims: readonly number[];
  readonly data: Uint8Array;
}

/**
 * Reads an IDX file (Yann LeCun's format of MNIST), gzip or plain: two zero bytes, the element type (8: unsigned
 * byte, the only one read here), the number of dimensions, each dimension as big-endian uint32, then the values.
 * `data` shares memory with `bytes` when these are plain.
 * @throws TierwiseError DATA_CORRUPT, naming `file`, on anything else
 */
export async function readIdx(bytes: Uint8Array, file: string): Promise<Idx> {
  const fail = (what: string) => new TierwiseError('DATA_CORRUPT', `${file}: ${what}`, { file });
  const plain = await unpacked(bytes, file);
  const rank = plain[3] ?? 0;
  const start = 4 + 4 * rank;
  if (plain[0] !== 0 || plain[1] !== 0 || plain[2] !== 8 || rank < 1 || rank > 4 || plain.length < start) {
    const head = Buffer.from(plain.subarray(0, 4)).toString('hex');
    throw fail(`is not an IDX file of bytes: it begins with "${head}" and has ${plain.length} bytes`);
  }
  const view = new DataView(plain.buffer, plain.byteOffset, plain.byteLength);
  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const data = plain.subarray(start);
  const expected = dims.reduce((count, dim) => count * dim, 1);
  if (data.length !== expected) {
    throw fail(`holds ${data.length} values, but its header promises [${dims}], which is ${expected}`);
  }
  return { file, dims, data };
}
