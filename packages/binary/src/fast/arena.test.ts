import fc from 'fast-check';
import { expect, test } from 'vitest';
import { placeSpans, type Span } from './arena.ts';

const span = fc
  .record({ bytes: fc.integer({ min: 1, max: 500 }), first: fc.nat(20), length: fc.nat(6) })
  .map(({ bytes, first, length }): Span => ({ bytes, first, last: first + length }));

test('what is needed at the same time lies apart, at vectors, within the memory stated', () => {
  fc.assert(
    fc.property(fc.array(span, { maxLength: 30 }), (spans) => {
      const base = 48;
      const { addresses, end } = placeSpans(spans, base);
      spans.forEach((a, i) => {
        expect(addresses[i]! % 16).toBe(0);
        expect(addresses[i]).toBeGreaterThanOrEqual(base);
        expect(addresses[i]! + a.bytes).toBeLessThanOrEqual(end);
        for (let j = 0; j < i; j++) {
          const b = spans[j]!;
          const together = a.first <= b.last && b.first <= a.last;
          const apart = addresses[i]! >= addresses[j]! + b.bytes || addresses[j]! >= addresses[i]! + a.bytes;
          expect(!together || apart, `${i} and ${j}`).toBe(true);
        }
      });
    }),
  );
});

test('a chain of layers takes the memory of its two greatest neighbours', () => {
  const sizes = [160, 320, 640, 320, 160];
  const spans = sizes.map((bytes, i) => ({ bytes, first: i, last: i + 1 }));
  expect(placeSpans(spans, 0).end).toBe(960);
});
