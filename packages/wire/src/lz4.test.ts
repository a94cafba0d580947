import { spawnSync } from 'node:child_process';
import { isTierwiseError } from '@tierwise/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lz4Compress, lz4Decompress } from './lz4.ts';

const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'));
const ascii = (text: string) => new TextEncoder().encode(text);

/** Bytes as they come on a link: pieces of noise, runs and repeats of what was before. */
const content = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((noise) => ({ noise })),
      fc.record({ byte: fc.nat(255), run: fc.nat(700) }),
      fc.record({ back: fc.nat(400), copy: fc.nat(300) }),
    ),
    { maxLength: 12 },
  )
  .map((pieces) => {
    const bytes: number[] = [];
    for (const piece of pieces) {
      if ('noise' in piece) bytes.push(...piece.noise);
      else if ('run' in piece) for (let i = 0; i < piece.run; i++) bytes.push(piece.byte);
      else for (let i = 0; i < piece.copy; i++) bytes.push(bytes[bytes.length - 1 - piece.back] ?? 0);
    }
    return Uint8Array.from(bytes);
  });

/** The end of a block as the format asks: the last 5 bytes are literals, no match starts in the last 12. */
function checkEnd(block: Uint8Array, size: number): void {
  let read = 0;
  let written = 0;
  let lastMatchStart = -1;
  const more = (field: number): number => {
    let length = field;
    if (field === 15) for (let byte = 255; byte === 255; length += byte) byte = block[read++]!;
    return length;
  };
  for (;;) {
    const token = block[read++]!;
    const literals = more(token >>> 4);
    read += literals;
    written += literals;
    if (read >= block.length) {
      if (lastMatchStart >= 0) {
        expect(literals).toBeGreaterThanOrEqual(5);
        expect(lastMatchStart).toBeLessThanOrEqual(size - 12);
      }
      return;
    }
    lastMatchStart = written;
    read += 2;
    written += more(token & 15) + 4;
  }
}

test.each<[string, Uint8Array, string]>([
  // Made by the reference implementation 1.9.4, LZ4_compress_default.
  ['nothing', new Uint8Array(0), '00'],
  ['three bytes', ascii('abc'), '30616263'],
  ['64 zeros', new Uint8Array(64), '1f00010027500000000000'],
  ['1000 zeros', new Uint8Array(1000), '1f000100ffffffd2500000000000'],
  [
    'a text',
    ascii('how much wood would a woodchuck chuck if a woodchuck could chuck wood'),
    'f106686f77206d75636820776f6f6420776f756c6420610d0062636875636b2006002a69661500012700a0636875636b20776f6f64',
  ],
  [
    'a period of 20',
    Uint8Array.from({ length: 800 }, (_, i) => i % 20),
    'ff05000102030405060708090a0b0c0d0e0f101112131400fffff6500f10111213',
  ],
])('a block of the reference implementation is read: %s', (_, bytes, block) => {
  expect(lz4Decompress(hex(block), bytes.length)).toEqual(bytes);
  expect(lz4Compress(bytes).length).toBeLessThanOrEqual(hex(block).length);
});

test('the literal lengths that the format spells out', () => {
  for (const [length, field] of [
    [48, 'f021'],
    [280, 'f0ff0a'],
    [15, 'f000'],
  ] as const) {
    const literals = Uint8Array.from({ length }, (_, i) => i * i);
    const block = Uint8Array.of(...hex(field), ...literals);
    expect(lz4Decompress(block, length)).toEqual(literals);
  }
});

test('content comes back, blocks stay within their bound and end as the format asks', () => {
  fc.assert(
    fc.property(content, (bytes) => {
      const block = lz4Compress(bytes);
      expect(block.length).toBeLessThanOrEqual(bytes.length + Math.floor(bytes.length / 255) + 16);
      checkEnd(block, bytes.length);
      expect(Buffer.compare(lz4Decompress(block, bytes.length), bytes)).toBe(0);
    }),
    { numRuns: 400 },
  );
});

test('a repeat is found 65535 bytes back and not farther', () => {
  const blockLength = (distance: number): number => {
    const marker = Uint8Array.from({ length: 32 }, (_, i) => i + 1);
    const bytes = new Uint8Array(distance + 64);
    bytes.set(marker);
    bytes.set(marker, distance);
    const block = lz4Compress(bytes);
    expect(Buffer.compare(lz4Decompress(block, bytes.length), bytes)).toBe(0);
    return block.length;
  };
  expect(blockLength(65_536)).toBeGreaterThan(blockLength(65_535) + 25);
});

const hasReference = spawnSync('lz4', ['--version']).status === 0;

test.skipIf(!hasReference)('the lz4 command reads our blocks and we read its blocks', () => {
  // The legacy frame: a magic number, then the length of each block and the block.
  const magic = Buffer.from('02214c18', 'hex');
  fc.assert(
    fc.property(content, (bytes) => {
      fc.pre(bytes.length > 0);
      const block = lz4Compress(bytes);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(block.length);
      const theirs = spawnSync('lz4', ['-d', '-c', '-q'], { input: Buffer.concat([magic, length, block]) });
      expect(theirs.status).toBe(0);
      expect(Buffer.compare(theirs.stdout, bytes)).toBe(0);
      const frame = spawnSync('lz4', ['-l', '-c', '-q'], { input: bytes }).stdout;
      const ours = lz4Decompress(frame.subarray(8, 8 + frame.readUInt32LE(4)), bytes.length);
      expect(Buffer.compare(ours, bytes)).toBe(0);
    }),
    { numRuns: 25 },
  );
});

function refused(block: Uint8Array, size: number): void {
  try {
    lz4Decompress(block, size);
  } catch (error) {
    if (isTierwiseError(error, 'PACKED_CORRUPT')) return;
    throw error;
  }
  expect.unreachable('the block was accepted');
}

test.each<[string, string, number]>([
  ['no token', '', 0],
  ['literals missing', '306162', 3],
  ['a length that does not end', 'f0ff', 300],
  ['half an offset', '106101', 8],
  ['offset 0', '10610000500000000000', 10],
  ['an offset before the start', '1061020050000000', 10],
  ['a match and no last sequence', '10610100', 5],
  ['a match beyond the size', '1f000100ff50000000000000', 64],
  ['literals beyond the size', '30616263', 2],
  ['content shorter than the size', '30616263', 4],
  ['a size that no such block can have', '1f00010027500000000000', 2 ** 40],
])('%s is refused', (_, block, size) => {
  refused(hex(block), size);
});

test('noise and damaged blocks are read or refused, never anything else, and give the stated size', () => {
  const attempt = (block: Uint8Array, size: number) => {
    try {
      expect(lz4Decompress(block, size).length).toBe(size);
    } catch (error) {
      if (!isTierwiseError(error, 'PACKED_CORRUPT')) throw error;
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(2000), attempt), { numRuns: 2000 });
  fc.assert(
    fc.property(content, fc.nat(), fc.nat(255), (bytes, where, value) => {
      const block = lz4Compress(bytes);
      block[where % block.length] = value;
      attempt(block, bytes.length);
      attempt(block.subarray(0, where % block.length), bytes.length);
    }),
    { numRuns: 1000 },
  );
});
