/** Dense bit streams, as binary weights are stored: bit i of byte j is element 8 j + i. */

/** Bytes that `count` bits take. */
export function bitBytes(count: number): number {
  return Math.ceil(count / 8);
}

/** Packs `values`, where a positive value is bit 1 (+1) and any other bit 0 (-1). Unused bits are 0. */
export function packBits(values: ArrayLike<number>): Uint8Array<ArrayBuffer> {
  const stream = new Uint8Array(bitBytes(values.length));
  for (let i = 0; i < values.length; i++) if (values[i]! > 0) stream[i >> 3]! |= 1 << (i & 7);
  return stream;
}

/** Element `index` of a stream, 0 or 1. */
export function bitAt(stream: Uint8Array, index: number): number {
  return (stream[index >> 3]! >> (index & 7)) & 1;
}
