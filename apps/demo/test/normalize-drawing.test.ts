import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { normalizeDrawing, pictureSide } from '../src/normalize-drawing.ts';

interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** A field of `side` x `side` with filled rectangles. */
function draw(side: number, ...rectangles: readonly Rectangle[]): Uint8Array {
  const greys = new Uint8Array(side * side);
  for (const { left, top, width, height } of rectangles) {
    for (let y = top; y < top + height; y++) greys.fill(255, y * side + left, y * side + left + width);
  }
  return greys;
}

/** The box of ink, as [left, top, right, bottom], both ends included. */
function extent(picture: Uint8Array): number[] {
  const inked = [...picture.keys()].filter((i) => picture[i]! > 0);
  const xs = inked.map((i) => i % pictureSide);
  const ys = inked.map((i) => Math.floor(i / pictureSide));
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

test('a blank sheet has no picture', () => {
  expect(normalizeDrawing(new Uint8Array(100 * 80), 100, 80)).toBeUndefined();
});

test('a square fills the 20x20 box around the middle', () => {
  const picture = normalizeDrawing(draw(280, { left: 3, top: 100, width: 120, height: 120 }), 280, 280)!;
  expect(extent(picture)).toEqual([5, 5, 24, 24]);
  expect(picture.reduce((sum, grey) => sum + grey, 0)).toBe(400 * 255);
});

test('a bar keeps its aspect and its edges are shared out', () => {
  const picture = normalizeDrawing(draw(280, { left: 30, top: 20, width: 25, height: 200 }), 280, 280)!;
  const [left, top, right, bottom] = extent(picture);
  expect([right! - left! + 1, bottom! - top! + 1]).toEqual([3, 20]);
  const row = picture.subarray(14 * pictureSide + left!, 14 * pictureSide + right! + 1);
  expect([...row]).toEqual([191, 255, 191]);
});

test('the centre of mass, not of the box, is in the middle', () => {
  const heavyFoot = draw(
    200,
    { left: 90, top: 20, width: 10, height: 160 },
    { left: 50, top: 150, width: 90, height: 30 },
  );
  const picture = normalizeDrawing(heavyFoot, 200, 200)!;
  let mass = 0;
  let moment = 0;
  picture.forEach((grey, i) => {
    mass += grey;
    moment += grey * Math.floor(i / pictureSide);
  });
  expect(Math.abs(moment / mass - 14)).toBeLessThanOrEqual(0.5);
  expect(extent(picture)[1]).toBeLessThan(4);
});

test('ink never falls off the field, however lopsided it is', () => {
  const lopsided = draw(
    200,
    { left: 0, top: 0, width: 1, height: 200 },
    { left: 0, top: 180, width: 200, height: 20 },
  );
  const picture = normalizeDrawing(lopsided, 200, 200)!;
  expect(extent(picture)).toEqual([expect.any(Number), 0, expect.any(Number), 19]);
});

const shape = fc.array(
  fc.record({
    left: fc.integer({ min: 0, max: 50 }),
    top: fc.integer({ min: 0, max: 50 }),
    width: fc.integer({ min: 1, max: 30 }),
    height: fc.integer({ min: 1, max: 30 }),
  }),
  { minLength: 1, maxLength: 4 },
);

test('where on the sheet it was drawn does not matter', () => {
  fc.assert(
    fc.property(shape, fc.nat(40), fc.nat(40), (rectangles, dx, dy) => {
      const moved = rectangles.map((r) => ({ ...r, left: r.left + dx, top: r.top + dy }));
      expect(normalizeDrawing(draw(120, ...moved), 120, 120)).toEqual(
        normalizeDrawing(draw(120, ...rectangles), 120, 120),
      );
    }),
  );
});

/** Mean index of the ink along one axis. */
function centre(picture: Uint8Array, axis: 'x' | 'y'): number {
  let [mass, moment] = [0, 0];
  for (const [i, grey] of picture.entries()) {
    mass += grey;
    moment += grey * (axis === 'x' ? i % pictureSide : Math.floor(i / pictureSide));
  }
  return moment / mass;
}

/** Largest difference of greys when `b` is moved by (dx, dy); background comes in from outside. */
function difference(a: Uint8Array, b: Uint8Array, dx: number, dy: number): number {
  return Math.max(
    ...a.map((grey, i) => {
      const [x, y] = [(i % pictureSide) - dx, Math.floor(i / pictureSide) - dy];
      const inside = x >= 0 && x < pictureSide && y >= 0 && y < pictureSide;
      return Math.abs(grey - (inside ? b[y * pictureSide + x]! : 0));
    }),
  );
}

test('how large it was drawn does not matter', () => {
  fc.assert(
    fc.property(shape, fc.integer({ min: 2, max: 4 }), (rectangles, factor) => {
      const larger = rectangles.map((r) => ({
        left: r.left * factor,
        top: r.top * factor,
        width: r.width * factor,
        height: r.height * factor,
      }));
      const small = normalizeDrawing(draw(80, ...rectangles), 80, 80)!;
      const large = normalizeDrawing(draw(80 * factor, ...larger), 80 * factor, 80 * factor)!;
      // The same means of the same squares: only the rounding of sums in another order may differ. A centre half
      // way between two pixels can fall to either by that, and then the whole drawing lies one pixel further.
      const shifts = (axis: 'x' | 'y') =>
        Math.abs(Math.abs(centre(small, axis) - 14) - 0.5) < 0.02 ? [0, 1, -1] : [0];
      const furthest = shifts('x').flatMap((dx) => shifts('y').map((dy) => difference(small, large, dx, dy)));
      expect(Math.min(...furthest)).toBeLessThanOrEqual(1);
    }),
  );
});

test.skipIf(!process.env.TIERWISE_DATA)("MNIST's own pictures come back as they are", () => {
  const file = gunzipSync(readFileSync(`${process.env.TIERWISE_DATA}/mnist/t10k-images-idx3-ubyte.gz`));
  let same = 0;
  for (let i = 0; i < 10_000; i++) {
    const picture = file.subarray(16 + i * 784, 16 + (i + 1) * 784);
    if (Buffer.from(normalizeDrawing(picture, 28, 28)!).equals(picture)) same++;
  }
  // The rest: 3 whose outermost ink faded to 0, and some within a thousandth of a pixel of a tie.
  expect(same).toBeGreaterThan(9_970);
});
