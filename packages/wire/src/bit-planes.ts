/**
 * Codes as bit planes: the highest bit of every element first, then the next one, down to bit 0. A plane takes
 * ceil(n / 8) bytes; element 8 j + i is bit i of its byte j; the bits after the last element are 0. Elements are
 * in tensor order, CHW for a feature map, so the zeros of a sparse map become long runs of zero bytes.
 * Source: bitshuffle (Masui et al., Astronomy and Computing 12, 2015), over the whole tensor as one block.
 */
export function toBitPlanes(codes: Uint8Array, bits: number): Uint8Array<ArrayBuffer> {
  const planeBytes = Math.ceil(codes.length / 8);
  const planes = new Uint8Array(bits * planeBytes);
  let at = 0;
  for (let bit = bits - 1; bit >= 0; bit--) {
    for (let first = 0; first < codes.length; first += 8) {
      const end = Math.min(first + 8, codes.length);
      let byte = 0;
      for (let i = first; i < end; i++) byte |= ((codes[i]! >>> bit) & 1) << (i - first);
      planes[at++] = byte;
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
  const codes = new Uint8Array(count);
  let at = 0;
  for (let bit = bits - 1; bit >= 0; bit--) {
    for (let first = 0; first < count; first += 8) {
      const byte = planes[at++]!;
      if (byte === 0) continue;
      const end = Math.min(first + 8, count);
      for (let i = first; i < end; i++) codes[i]! |= ((byte >>> (i - first)) & 1) << bit;
    }
  }
  return codes;
}
