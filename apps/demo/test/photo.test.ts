import { expect, test } from 'vitest';
import { inkOf } from '../src/photo.ts';

/** A grey photo of 20 x 20 with a square of 8 x 8 in its middle. */
function photo(background: number, object: number): Uint8ClampedArray {
  return Uint8ClampedArray.from({ length: 1600 }, (_, i) => {
    const [x, y] = [(i >> 2) % 20, Math.floor((i >> 2) / 20)];
    return i % 4 === 3 ? 255 : x >= 6 && x < 14 && y >= 6 && y < 14 ? object : background;
  });
}

test.each([
  [230, 30],
  [20, 250],
])('on a background of %d, what is %d becomes ink', (background, object) => {
  for (const flat of [true, false]) {
    const ink = inkOf(photo(background, object), 20, 20, flat);
    expect(ink.filter((value) => value === 255)).toHaveLength(64);
    expect(ink.filter((value) => value === 0)).toHaveLength(400 - 64);
  }
});

test('the grain of an empty photo is no ink', () => {
  expect(inkOf(photo(200, 215), 20, 20, true).some((value) => value > 0)).toBe(false);
});
