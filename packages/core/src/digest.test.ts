import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { sha256Hex } from './digest.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

const abc = new TextEncoder().encode('abc');
/** FIPS 180-2, appendix B.1. */
const abcDigest = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';

test('gives the published digest, and that of a view only', async () => {
  expect(await sha256Hex(abc)).toBe(abcDigest);
  expect(await sha256Hex(new TextEncoder().encode('xabcx').subarray(1, 4))).toBe(abcDigest);
});

test('an insecure context gives the same digests', async () => {
  vi.stubGlobal('crypto', {});
  expect(await sha256Hex(abc)).toBe(abcDigest);
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      expect(await sha256Hex(bytes)).toBe(createHash('sha256').update(bytes).digest('hex'));
    }),
  );
});
