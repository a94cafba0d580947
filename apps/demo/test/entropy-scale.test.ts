import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lastStep, positionOf, stepOf, thresholdAt, whySentence } from '../src/entropy-scale.ts';
import { formatEntropy } from '../src/format.ts';

test('the ends of the slider send everything on and keep everything here', () => {
  expect(thresholdAt(0)).toBe(0);
  expect(thresholdAt(lastStep)).toBeGreaterThan(1);
});

test('a step and its threshold are each other’s', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: lastStep }), (step) => {
      expect(stepOf(thresholdAt(step))).toBe(step);
    }),
  );
});

test('what is below the threshold stands left of it', () => {
  const value = fc.double({ min: 1e-5, max: 1, noNaN: true });
  fc.assert(
    fc.property(value, value, (entropy, threshold) => {
      fc.pre(entropy < threshold);
      expect(positionOf(entropy)).toBeLessThanOrEqual(positionOf(threshold));
    }),
  );
  expect(positionOf(0)).toBe(0);
  expect(positionOf(1e-8)).toBe(0);
  expect(positionOf(0.01)).toBeCloseTo(0.6, 12);
});

test('the sentence names the tier and the comparison that was made', () => {
  const judged = { entropy: 0.2, threshold: 0.05, tier: 'edge' as const };
  expect(whySentence(judged, 0.05)).toBe(
    'Entropy 0.20 is not below 0.05: too unsure, so the edge finished it.',
  );
  expect(whySentence({ ...judged, entropy: 0.0012, tier: 'device' }, 0.05)).toContain('0.0012 is below 0.05');
  expect(whySentence(judged, 0.3)).toBe('Entropy 0.20 is below 0.30 now: asking this device.');
  expect(whySentence({ ...judged, threshold: 0.3, tier: 'device' }, 0.05)).toContain('asking the edge');
  const degraded = { code: 'EDGE_UNREACHABLE' as const, reason: 'no edge' };
  expect(whySentence({ ...judged, tier: 'device', degraded }, 0.05)).toContain('could not finish');
  expect(whySentence({ entropy: 0.2, tier: 'edge' }, 0.05)).toContain('No threshold');
  expect(whySentence({ ...judged, threshold: 1.01, tier: 'device', guess: true }, 0.05)).toContain(
    'would go on',
  );
});

test('entropies keep two digits over the whole scale', () => {
  expect([0, 3e-7, 0.000034, 0.00123, 0.034, 0.2, 0.51, 0.998, 1].map(formatEntropy)).toEqual([
    '0',
    '< 0.00001',
    '0.000034',
    '0.0012',
    '0.034',
    '0.20',
    '0.51',
    '1',
    '1',
  ]);
});
