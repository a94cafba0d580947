import { random } from '@tierwise/core';
import type { Dataset } from '@tierwise/data';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { augment, drawMask, targetRows } from './batches.ts';

/** `samples` pictures of 3 x 7 x 5 whose pixels are never 0. */
function pictures(samples: number): Dataset {
  const images = Uint8Array.from({ length: samples * 105 }, (_, i) => 1 + (i % 255));
  const labels = Uint16Array.from({ length: samples }, (_, i) => i % 4);
  return {
    name: 'p',
    classes: ['a', 'b', 'c', 'd'],
    channels: 3,
    height: 7,
    width: 5,
    images,
    labels,
    samples,
  };
}

const data = pictures(6);
const pixel = (image: Uint8Array, c: number, y: number, x: number) =>
  y < 0 || y >= 7 || x < 0 || x >= 5 ? 0 : image[(c * 7 + y) * 5 + x]!;

test('a picture is the original shifted, perhaps mirrored, with one black square: nothing else', () => {
  const seen = { shifts: new Set<string>(), mirrored: new Set<boolean>() };
  fc.assert(
    fc.property(
      fc.record({ shift: fc.nat(3), flip: fc.boolean(), cutout: fc.nat(4), seed: fc.nat(1e6) }),
      ({ seed, ...augmentation }) => {
        const into = new Uint8Array(105).fill(9);
        augment(data, Uint32Array.of(4), augmentation, random(seed), into);
        const original = data.images.subarray(4 * 105, 5 * 105);
        // The draws, in their order.
        const r = random(seed);
        const { shift, flip, cutout } = augmentation;
        const [dx, dy] = [r.below(2 * shift + 1) - shift, r.below(2 * shift + 1) - shift];
        const mirrored = flip && r.uniform() < 0.5;
        const corner = cutout === 0 ? [9, 9] : [r.below(5) - (cutout >> 1), r.below(7) - (cutout >> 1)];
        seen.shifts.add(`${dx},${dy}`);
        seen.mirrored.add(mirrored);
        for (let c = 0; c < 3; c++)
          for (let y = 0; y < 7; y++)
            for (let x = 0; x < 5; x++) {
              const cut =
                x >= corner[0]! && x < corner[0]! + cutout && y >= corner[1]! && y < corner[1]! + cutout;
              const source = mirrored ? 4 - (x - dx) : x - dx;
              expect(pixel(into, c, y, x)).toBe(cut ? 0 : pixel(original, c, y - dy, source));
            }
      },
    ),
    { numRuns: 300 },
  );
  expect(seen.shifts.size).toBeGreaterThan(30);
  expect(seen.mirrored.size).toBe(2);
});

test('targets sum to 1, with their largest at the class', () => {
  const into = new Float32Array(3 * 4);
  targetRows(data, Uint32Array.of(1, 2, 3), 0.1, into);
  expect(into[1]).toBeCloseTo(0.925);
  expect(into[0]).toBeCloseTo(0.025);
  for (let n = 0; n < 3; n++)
    expect(into.subarray(4 * n, 4 * n + 4).reduce((a, b) => a + b, 0)).toBeCloseTo(1);
  targetRows(data, Uint32Array.of(1, 2, 3), 0, into);
  expect([...into]).toEqual([0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
});

test('a mask drops its share and keeps the mean at 1, and all four bytes of a draw are used alike', () => {
  for (const rate of [0.3, 0.4, 0.5]) {
    const into = new Float32Array(100_000);
    drawMask(rate, random(7), into);
    expect(into.reduce((a, b) => a + b, 0) / into.length).toBeCloseTo(1, 1.5);
    for (let byte = 0; byte < 4; byte++) {
      const dropped = into.filter((value, i) => i % 4 === byte && value === 0).length / (into.length / 4);
      expect(Math.abs(dropped - rate)).toBeLessThan(0.01);
    }
  }
});
