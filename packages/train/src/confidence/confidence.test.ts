import { energyOf, random } from '@tierwise/core';
import { expect, test } from 'vitest';
import { calibrationOf, fitTemperature, type Scored } from './calibration.ts';
import { energies, rejectionOf, rejectionThreshold } from './rejection.ts';

/** Labels drawn from the very probabilities that the scores, divided by `temperature`, give. */
function drawn(samples: number, temperature: number): Scored {
  const stream = random(7);
  const scores = new Float32Array(samples * 3);
  const labels = new Uint16Array(samples);
  for (let i = 0; i < samples; i++) {
    const row = Array.from({ length: 3 }, () => 2 * stream.normal());
    const total = energyOf(row);
    let left = stream.uniform();
    labels[i] = 2;
    for (const [c, score] of row.entries()) {
      left -= Math.exp(score - total);
      if (left >= 0) continue;
      labels[i] = c;
      break;
    }
    scores.set(
      row.map((score) => score * temperature),
      i * 3,
    );
  }
  return { scores, labels, classes: 3 };
}

test('probabilities that mean what they say have no error, and those of overconfident scores have one', () => {
  const honest = calibrationOf(drawn(20_000, 1));
  expect(honest.ece).toBeLessThan(0.02);
  expect(honest.bins.reduce((sum, { samples }) => sum + samples, 0)).toBe(20_000);
  expect(honest.bins[0]).toEqual({ samples: 0, confidence: undefined, accuracy: undefined });
  expect(calibrationOf(drawn(20_000, 3)).ece).toBeGreaterThan(0.1);
});

test.each([0.5, 1, 3])('scores that are %d times too large are found out', (temperature) => {
  const scored = drawn(20_000, temperature);
  const found = fitTemperature(scored);
  expect(found / temperature).toBeCloseTo(1, 1);
  expect(calibrationOf(scored, found).ece).toBeLessThan(0.02);
});

test('a sample that is sure and wrong is an error of one', () => {
  const scored = { scores: Float32Array.of(50, 0), labels: Uint16Array.of(1), classes: 2 };
  expect(calibrationOf(scored).ece).toBeCloseTo(1, 6);
});

test('strangers with less energy are told from known pictures, those with as much are not', () => {
  const of = (from: number) =>
    energies(
      Float32Array.from({ length: 200 }, (_, i) => from + (i >> 1)),
      2,
    );
  const threshold = rejectionThreshold(of(100));
  expect(threshold.knownRejected).toBeCloseTo(0.05, 6);
  const apart = rejectionOf(threshold.energy, of(100), { data: 'others', energies: of(-100) });
  expect(apart.knownRejected).toBe(threshold.knownRejected);
  expect(apart.strangers).toEqual({ data: 'others', rejected: 1, auroc: 1 });
  expect(rejectionOf(50, of(0), { data: 'the same', energies: of(0) }).strangers).toEqual({
    data: 'the same',
    rejected: expect.closeTo(0.5, 6),
    auroc: expect.closeTo(0.5, 6),
  });
  expect(rejectionOf(50, of(0))).toEqual({ threshold: 50, knownRejected: expect.closeTo(0.5, 6) });
});
