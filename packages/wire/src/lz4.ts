import { TierwiseError } from '@tierwise/core';

/**
 * The LZ4 block format: no frame, no checksum, the size of the content is known from elsewhere.
 * Source: github.com/lz4/lz4, doc/lz4_Block_format.md (revision of 2022-07-31). A block is a row of sequences:
 * a token (literal count, match length - 4, four bits each), more length bytes when a field is 15, the literals,
 * a 16-bit offset backwards, more length bytes. The last sequence has literals only.
 */

const minMatch = 4;
const maxOffset = 65535;
/** The format asks that the last 5 bytes be literals and that no match begin in the last 12. */
const lastLiterals = 5;
const matchStartLimit = 12;
const hashBits = 12;

/**
 * `bytes` as one LZ4 block, at most n + n/255 + 16 bytes. Greedy, one candidate per hash of four bytes; the same
 * input always gives the same block. Steps grow where nothing matches, so noise costs little time. O(n).
 */
export function lz4Compress(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(bytes.length + Math.floor(bytes.length / 255) + 16);
  /** Last position + 1 of each hash; 0 is none. */
  const seen = new Int32Array(1 << hashBits);
  let written = 0;
  let literalStart = 0;
  let misses = 0;

  const writeMore = (length: number): void => {
    let rest = length - 15;
    for (; rest >= 255; rest -= 255) block[written++] = 255;
    block[written++] = rest;
  };
  const writeLiterals = (end: number, matchField: number): void => {
    const literals = end - literalStart;
    block[written++] = (Math.min(literals, 15) << 4) | matchField;
    if (literals >= 15) writeMore(literals);
    copy(bytes, literalStart, block, written, literals);
    written += literals;
  };

  let at = 0;
  while (at <= bytes.length - matchStartLimit) {
    const word = word32(bytes, at);
    const hash = Math.imul(word, 0x9e3779b1) >>> (32 - hashBits);
    let from = seen[hash]! - 1;
    seen[hash] = at + 1;
    if (from < 0 || at - from > maxOffset || word32(bytes, from) !== word) {
      at += 1 + (misses++ >>> 6);
      continue;
    }
    misses = 0;
    let end = at + minMatch;
    for (let i = from + minMatch; end < bytes.length - lastLiterals && bytes[end] === bytes[i]; i++) end++;
    for (; at > literalStart && from > 0 && bytes[at - 1] === bytes[from - 1]; from--) at--;
    const length = end - at - minMatch;
    writeLiterals(at, Math.min(length, 15));
    block[written++] = (at - from) & 0xff;
    block[written++] = (at - from) >>> 8;
    if (length >= 15) writeMore(length);
    at = literalStart = end;
  }
  writeLiterals(bytes.length, 0);
  return block.slice(0, written);
}

/** Up to so many bytes a loop is faster than the call of a built-in, and most runs of a feature map are short. */
const fewBytes = 32;

function copy(from: Uint8Array, start: number, to: Uint8Array, at: number, length: number): void {
  if (length > fewBytes) to.set(from.subarray(start, start + length), at);
  else for (let i = 0; i < length; i++) to[at + i] = from[start + i]!;
}

function word32(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/**
 * The content of `block`, which must be `size` bytes. Reads each byte of the block once and writes nothing beyond
 * `size`; memory is taken only when a block of this length can hold so much (a byte gives at most 255).
 * @throws TierwiseError PACKED_CORRUPT when the block is not LZ4 or its content has another size
 */
export function lz4Decompress(block: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  if (size > 255 * block.length) throw corrupt(`${block.length} bytes cannot hold ${size}`);
  const bytes = new Uint8Array(size);
  let read = 0;
  let written = 0;

  const readMore = (field: number): number => {
    if (field < 15) return field;
    let length = field;
    for (;;) {
      const more = block[read++];
      if (more === undefined) throw corrupt('it ends inside a length');
      length += more;
      if (more < 255) return length;
    }
  };

  for (;;) {
    const token = block[read++];
    if (token === undefined) throw corrupt('it ends without a last sequence');
    const literals = readMore(token >>> 4);
    if (literals > block.length - read) throw corrupt('it ends inside literals');
    if (literals > size - written) throw corrupt(`its content is longer than ${size} bytes`);
    copy(block, read, bytes, written, literals);
    read += literals;
    written += literals;
    if (read === block.length) break;

    if (block.length - read < 2) throw corrupt('it ends inside an offset');
    const offset = block[read]! | (block[read + 1]! << 8);
    read += 2;
    if (offset === 0 || offset > written) throw corrupt(`offset ${offset} at byte ${written} of its content`);
    const length = readMore(token & 15) + minMatch;
    if (length > size - written) throw corrupt(`its content is longer than ${size} bytes`);
    if (offset === 1 && length > fewBytes) bytes.fill(bytes[written - 1]!, written, written + length);
    else if (offset >= length) copy(bytes, written - offset, bytes, written, length);
    else for (let i = written; i < written + length; i++) bytes[i] = bytes[i - offset]!;
    written += length;
  }
  if (written !== size) throw corrupt(`its content is ${written} bytes, not ${size}`);
  return bytes;
}

function corrupt(what: string): TierwiseError {
  return new TierwiseError('PACKED_CORRUPT', `LZ4 block: ${what}`);
}
