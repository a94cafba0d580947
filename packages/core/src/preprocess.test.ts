import fc from 'fast-check';
import { expect, test } from 'vitest';
import { normalize, type Pixels, type PreprocessSpec, preprocess } from './preprocess.ts';
import { isTierwiseError } from './tierwise-error.ts';

const plain = { scale: 1, mean: [0], std: [1] };

/**
 * Area average, said differently: every source pixel becomes a block of `to` x `to` equal ones, and every output is
 * the mean of a block of `from` x `from`.
 */
function slowShrink(
  source: readonly number[],
  fromW: number,
  fromH: number,
  toW: number,
  toH: number,
): number[] {
  const out: number[] = [];
  for (let oy = 0; oy < toH; oy++) {
    for (let ox = 0; ox < toW; ox++) {
      let sum = 0n;
      for (let v = oy * fromH; v < (oy + 1) * fromH; v++) {
        for (let u = ox * fromW; u < (ox + 1) * fromW; u++) {
          sum += BigInt(source[Math.floor(v / toH) * fromW + Math.floor(u / toW)]!);
        }
      }
      const area = BigInt(fromW * fromH);
      out.push(Number((2n * sum + area) / (2n * area)));
    }
  }
  return out;
}

/** Bilinear from the textbook: where the centre lies in the source, four neighbours, edges repeated; not rounded. */
function slowGrow(
  source: readonly number[],
  fromW: number,
  fromH: number,
  toW: number,
  toH: number,
): number[] {
  const pixel = (y: number, x: number) =>
    source[Math.min(fromH - 1, Math.max(0, y)) * fromW + Math.min(fromW - 1, Math.max(0, x))]!;
  const out: number[] = [];
  for (let oy = 0; oy < toH; oy++) {
    const y = ((oy + 0.5) * fromH) / toH - 0.5;
    const fy = y - Math.floor(y);
    for (let ox = 0; ox < toW; ox++) {
      const x = ((ox + 0.5) * fromW) / toW - 0.5;
      const fx = x - Math.floor(x);
      const [top, left] = [Math.floor(y), Math.floor(x)];
      out.push(
        (1 - fy) * ((1 - fx) * pixel(top, left) + fx * pixel(top, left + 1)) +
          fy * ((1 - fx) * pixel(top + 1, left) + fx * pixel(top + 1, left + 1)),
      );
    }
  }
  return out;
}

const side = fc.integer({ min: 1, max: 9 });
const greyPicture = fc.tuple(side, side).chain(([width, height]) =>
  fc.record({
    width: fc.constant(width),
    height: fc.constant(height),
    data: fc.uint8Array({ minLength: width * height, maxLength: width * height }),
  }),
);

function grey(picture: Pixels, width: number, height: number): number[] {
  return [...preprocess(picture, { channels: 1, width, height, ...plain }).data];
}

test('shrinking is the area average, rounded once', () => {
  fc.assert(
    fc.property(greyPicture, fc.double({ min: 0, max: 1, noNaN: true }), side, (picture, share, h) => {
      const width = 1 + Math.floor(share * (picture.width - 1));
      const height = Math.min(h, picture.height);
      const expected = slowShrink([...picture.data], picture.width, picture.height, width, height);
      expect(grey(picture, width, height)).toEqual(expected);
    }),
  );
});

test('growing is bilinear with half-pixel centres', () => {
  fc.assert(
    fc.property(greyPicture, side, side, (picture, moreX, moreY) => {
      const width = picture.width + moreX;
      const height = picture.height + moreY;
      const exact = slowGrow([...picture.data], picture.width, picture.height, width, height);
      grey(picture, width, height).forEach((value, i) => {
        expect(Number.isInteger(value)).toBe(true);
        expect(Math.abs(value - exact[i]!)).toBeLessThanOrEqual(0.5 + 1e-9);
      });
    }),
  );
});

test('a size that fits already changes nothing, and mixed axes keep each other', () => {
  fc.assert(
    fc.property(greyPicture, (picture) => {
      expect(grey(picture, picture.width, picture.height)).toEqual([...picture.data]);
    }),
  );
  // Down halves to 50, 150; across doubles, its centres lying at -1/4, 1/4, 3/4 and 5/4.
  expect(grey({ width: 2, height: 2, data: Uint8Array.of(0, 100, 100, 200) }, 4, 1)).toEqual([
    50, 75, 125, 150,
  ]);
});

test('halves are rounded up', () => {
  expect(grey({ width: 2, height: 1, data: Uint8Array.of(0, 1) }, 1, 1)).toEqual([1]);
  expect(grey({ width: 2, height: 1, data: Uint8Array.of(254, 255) }, 1, 1)).toEqual([255]);
});

test('a picture far larger than the network keeps its mean exactly', () => {
  const data = new Uint8Array(4001 * 3).fill(255);
  data[0] = 0;
  const sum = (4001 * 3 - 1) * 255;
  expect(grey({ width: 4001, height: 3, data }, 1, 1)).toEqual([Math.round(sum / (4001 * 3))]);
});

test('grey is BT.601 in whole numbers and colours keep their planes', () => {
  const rgb = Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255);
  const picture = { width: 4, height: 1, data: rgb };
  expect(grey(picture, 4, 1)).toEqual([76, 150, 29, 255]);
  const colour = preprocess(picture, { channels: 3, width: 4, height: 1, ...plain });
  expect(colour.dims).toEqual([1, 3, 1, 4]);
  expect([...colour.data]).toEqual([255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255]);
});

test('grey of a colour stays within half of the real weights', () => {
  fc.assert(
    fc.property(fc.nat(255), fc.nat(255), fc.nat(255), (r, g, b) => {
      const [value] = grey({ width: 1, height: 1, data: Uint8Array.of(r, g, b) }, 1, 1);
      expect(Math.abs(value! - (0.299 * r + 0.587 * g + 0.114 * b))).toBeLessThan(0.51);
    }),
  );
});

test('a grey picture fills three channels alike', () => {
  const filled = preprocess(
    { width: 1, height: 2, data: Uint8Array.of(7, 9) },
    { channels: 3, width: 1, height: 2, ...plain },
  );
  expect([...filled.data]).toEqual([7, 9, 7, 9, 7, 9]);
});

test('alpha is laid over black', () => {
  const spec: PreprocessSpec = { channels: 3, width: 1, height: 1, ...plain };
  fc.assert(
    fc.property(fc.nat(255), fc.nat(255), (value, alpha) => {
      const data = Uint8ClampedArray.of(value, 0, 255, alpha);
      const expected = [Math.round((value * alpha) / 255), 0, alpha];
      expect([...preprocess({ width: 1, height: 1, data }, spec).data]).toEqual(expected);
    }),
  );
});

test('scale, mean and std are float32 operations in their order, one of each or one a channel', () => {
  const spec: PreprocessSpec = {
    channels: 3,
    width: 1,
    height: 1,
    scale: 1 / 255,
    mean: [0.485, 0.456, 0.406],
    std: [0.229],
  };
  const { data } = preprocess({ width: 1, height: 1, data: Uint8Array.of(10, 20, 30) }, spec);
  const f = Math.fround;
  const expected = [10, 20, 30].map((p, c) => f(f(f(p * f(1 / 255)) - f(spec.mean[c]!)) / f(0.229)));
  expect([...data]).toEqual(expected);
});

test.each<[string, Pixels]>([
  ['no pixel', { width: 0, height: 4, data: new Uint8Array(0) }],
  ['a negative side', { width: -2, height: -2, data: new Uint8Array(4) }],
  ['a fraction of a pixel', { width: 1.5, height: 2, data: new Uint8Array(3) }],
  ['not a number', { width: Number.NaN, height: 2, data: new Uint8Array(3) }],
  ['a side beyond the limit', { width: 65536, height: 1, data: new Uint8Array(65536) }],
  ['a byte short', { width: 2, height: 2, data: new Uint8Array(11) }],
  ['two bytes a pixel', { width: 2, height: 2, data: new Uint8Array(8) }],
  ['no bytes', { width: 2, height: 2, data: new Uint8Array(0) }],
])('%s gives IMAGE_INVALID', (_, picture) => {
  expect(() => grey(picture, 2, 2)).toThrow(
    expect.toSatisfy((error) => isTierwiseError(error, 'IMAGE_INVALID')),
  );
});

test('normalize gives pictures of the right size the same numbers, plane by plane', () => {
  const spec = {
    channels: 3,
    height: 2,
    width: 2,
    scale: 1 / 255,
    mean: [0.4, 0.5, 0.6],
    std: [0.2, 0.25, 0.3],
  } as const;
  const planes = Uint8Array.from({ length: 24 }, (_, i) => (i * 11) % 256);
  const expected = [0, 1].flatMap((n) => {
    const interleaved = Uint8Array.from(
      { length: 12 },
      (_, i) => planes[n * 12 + (i % 3) * 4 + Math.floor(i / 3)]!,
    );
    return [...preprocess({ data: interleaved, width: 2, height: 2 }, spec).data];
  });
  expect([...normalize(planes, spec)]).toEqual(expected);
});
