/**
 * Codes as bit planes: the highest bit of every element first, then the next one, down to bit 0. A plane takes
 * ceil(n / 8) bytes; element 8 j + i is bit i of its byte j; the bits after the last element are 0. Elements are
 * in tensor order, CHW for a feature map, so the zeros of a sparse map become long runs of zero bytes.
 * Source: bitshuffle (Masui et al., Astronomy and Computing 12, 2015), over the whole tensor as one block.
 *
 * Eight codes are taken at once, as two words of four: one product brings bit 0 of four bytes together, another
 * spreads four bits over four bytes. No two of the partial products meet in a bit, so nothing is carried.
 */
export function toBitPlanes(codes: Uint8Array, bits: number): Uint8Array<ArrayBuffer> {
  const planeBytes = Math.ceil(codes.length / 8);
  const planes = new Uint8Array(bits * planeBytes);
  for (let j = 0; j < planeBytes; j++) {
    const low = fourCodes(codes, 8 * j);
    const high = fourCodes(codes, 8 * j + 4);
    if ((low | high) === 0) continue;
    for (let bit = bits - 1, at = j; bit >= 0; bit--, at += planeBytes) {
      planes[at] = gather(low >>> bit) | (gather(high >>> bit) << 4);
    }
  }
  return planes;
}

/** Bytes that `toBitPlanes` gives for `count` elements. */
export function bitPlaneBytes(bits: number, count: number): number {
  return bits * Math.ceil(count / 8);
}

/** The `count` codes that `planes` was made of; `planes` holds `bitPlaneBytes(bits, count)` bytes. */
export function fromBitPlanes(planes: Uint8Array, bits: number, count: number): Uint8Array<ArrayBuffer> {
  const planeBytes = Math.ceil(count / 8);
  const codes = new Uint8Array(count);
  for (let j = 0; j < planeBytes; j++) {
    let low = 0;
    let high = 0;
    for (let bit = bits - 1, at = j; bit >= 0; bit--, at += planeBytes) {
      const byte = planes[at]!;
      low |= spread(byte & 15) << bit;
      high |= spread(byte >>> 4) << bit;
    }
    // What is written beyond the end of the array is dropped.
    if (low !== 0) writeFour(codes, 8 * j, low);
    if (high !== 0) writeFour(codes, 8 * j + 4, high);
  }
  return codes;
}

/** Bytes at..at + 3, the first lowest; 0 for those beyond the end. */
function fourCodes(bytes: Uint8Array, at: number): number {
  if (at + 3 < bytes.length)
    return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
}

function writeFour(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word;
  bytes[at + 1] = word >>> 8;
  bytes[at + 2] = word >>> 16;
  bytes[at + 3] = word >>> 24;
}

/** Bits 0, 8, 16 and 24 as bits 0 to 3. */
function gather(word: number): number {
  return Math.imul(word & 0x01010101, 0x10204080) >>> 28;
}

/** Bits 0 to 3 as bits 0, 8, 16 and 24. */
function spread(nibble: number): number {
  return Math.imul(nibble, 0x00204081) & 0x01010101;
}
