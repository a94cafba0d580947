import { expect, test } from 'vitest';
import { permutation, random } from './random.ts';

test('equal names give equal streams, other names give other streams', () => {
  const draw = (...names: number[]) =>
    Array.from(
      { length: 8 },
      (
        (r) => () =>
          r.uniform()
      )(random(...names)),
    );
  expect(draw(1, 2)).toEqual(draw(1, 2));
  expect(draw(1, 2)).not.toEqual(draw(2, 1));
  expect(draw(1, 2)).not.toEqual(draw(1, 2, 0));
});

test('uniform and normal have the moments they promise', () => {
  const r = random(7);
  const n = 100_000;
  let mean = 0;
  let normalMean = 0;
  let normalSquare = 0;
  for (let i = 0; i < n; i++) {
    mean += r.uniform() / n;
    const x = r.normal();
    normalMean += x / n;
    normalSquare += (x * x) / n;
  }
  expect(mean).toBeCloseTo(0.5, 2);
  expect(normalMean).toBeCloseTo(0, 1);
  expect(normalSquare).toBeCloseTo(1, 1);
});

test('a permutation holds each number once', () => {
  expect([...permutation(1000, random(3))].sort((a, b) => a - b)).toEqual(
    Array.from({ length: 1000 }, (_, i) => i),
  );
});
