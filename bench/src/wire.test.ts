/** That every codec gives back what it was given, as far as its bits go; and that the benchmark ends in one form. */
import { dequantize, packedBits, quantize } from '@tierwise/wire';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { benchmarks } from './benchmarks.ts';
import { ours, rivals } from './pages/codecs.ts';

const options = {
  chromePath: process.env['TIERWISE_CHROME'] ?? '/usr/bin/chromium',
  signal: new AbortController().signal,
  onProgress: () => {},
  runs: 1,
};

const lo = 0;
const hi = 3.5;
const values = fc.float32Array({ min: -1, max: 5, noNaN: true, minLength: 1, maxLength: 300 });
const pass = async (codec: ReturnType<typeof ours>, given: Float32Array) =>
  codec.unpack(await codec.pack(given));

test.each(packedBits)('ours in %d bits gives the nearest of its levels', async (bits) => {
  await fc.assert(
    fc.asyncProperty(values, async (given) => {
      const levels = dequantize(quantize(given, { bits, lo, hi }), { bits, lo, hi });
      expect(await pass(ours(bits, { dims: [given.length], lo, hi }), given)).toEqual(levels);
    }),
  );
});

test('deflate gives what ours gives in 8 bits, JSON and a copy the numbers themselves', async () => {
  await fc.assert(
    fc.asyncProperty(values, async (given) => {
      const packing = { dims: [given.length], lo, hi };
      const [deflate, json, copy] = rivals(packing) as [
        ReturnType<typeof ours>,
        ...ReturnType<typeof rivals>,
      ];
      expect(await pass(deflate, given)).toEqual(await pass(ours(8, packing), given));
      // JSON knows no negative zero.
      expect(await pass(json!, given)).toEqual(given.map((x) => x + 0));
      expect(await pass(copy!, given)).toEqual(given);
    }),
    { numRuns: 20 },
  );
});

test('the page has figures for every codec', async () => {
  const result = await benchmarks.wire.run({ ...options, cases: ['lenet'] });
  expect(result.rows.map((row) => row.case)).toEqual(
    ['1 bit', '2 bits', '3 bits', '4 bits', '5 bits', '6 bits', '8 bits', 'deflate', 'json', 'copy'].map(
      (name) => `lenet ${name}`,
    ),
  );
  for (const { metrics } of result.rows) {
    expect(Object.keys(metrics)).toHaveLength(9);
    for (const value of Object.values(metrics)) expect(value).toBeGreaterThan(0);
  }
  const bytes = result.rows.map(({ metrics }) => metrics['bytes']!);
  expect(bytes.slice(0, 7)).toEqual(bytes.slice(0, 7).toSorted((a, b) => a - b));
  expect(bytes.at(-1)).toBe(4 * 20 * 12 * 12);
  expect(JSON.parse(JSON.stringify(result))).toEqual(result);
});
