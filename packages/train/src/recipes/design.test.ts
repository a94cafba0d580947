import { describe, expect, test } from 'vitest';
import { freeDesign } from './design.ts';

const shown = (options: Parameters<typeof freeDesign>[1], stem: readonly number[] = [1, 64, 32, 32]) =>
  freeDesign(stem, options)
    .blocks.map(({ filters, stride }) => (stride === 2 ? `/${filters}` : `${filters}`))
    .join(' ');

describe('a free design', () => {
  test('doubles the filters where it halves the map, until a side is below 8', () => {
    expect(shown({ depth: 8, width: 64 })).toBe('64 64 /128 128 /256 256 /512 512');
    expect(shown({ depth: 3, width: 16 })).toBe('16 /32 /64');
    expect(shown({ depth: 3, width: 16 }, [1, 8, 8, 8])).toBe('16 16 /32');
    expect(shown({ depth: 2, width: 16 }, [1, 8, 7, 7])).toBe('16 16');
  });

  test('with stride 2 halves the map at once, and once less after it', () => {
    expect(shown({ depth: 6, width: 128, stride: 2 })).toBe('/128 128 /256 256 /512 512');
    expect(shown({ depth: 1, width: 8, stride: 2 })).toBe('/8');
    expect(shown({ depth: 2, width: 8, stride: 2 }, [1, 8, 1, 1])).toBe('/8 8');
  });

  test('is refused where depth, width or a dense layer is no whole number from 1 on', () => {
    for (const options of [
      { depth: 0, width: 8 },
      { depth: 1, width: 1.5 },
      { depth: 1, width: 8, dense: [0] },
    ])
      expect(() => freeDesign([1, 8, 8, 8], options)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});
