import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type ErrorCode, isTierwiseError, preprocess } from '@tierwise/core';
import sharp from 'sharp';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type LoadOptions, loadDataset } from './load.ts';
import { decodePicture } from './pictures.ts';

const size = { channels: 3, height: 4, width: 6 } as const;
const load = (options: LoadOptions = {}) => loadDataset(folder, { size, ...options });
const code = (expected: ErrorCode, what: RegExp) =>
  expect.toSatisfy((error: unknown) => isTierwiseError(error, expected) && what.test(error.message));

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tierwise-folder-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function put(name: string, bytes: Uint8Array | string): Promise<void> {
  await mkdir(dirname(join(folder, name)), { recursive: true });
  await writeFile(join(folder, name), bytes);
}

/** A picture of one colour; `shade` makes files differ. */
const plain = (r: number, g: number, b: number, width = 6, height = 4) =>
  sharp({ create: { width, height, channels: 3, background: { r, g, b } } });
const png = (shade: number) => plain(shade, 100, 200).png().toBuffer();

/** train/ and test/ with two classes of two and one pictures. */
async function putHalves(): Promise<void> {
  let shade = 0;
  for (const [half, count] of [
    ['train', 2],
    ['test', 1],
  ] as const)
    for (const name of ['cat', 'dog'])
      for (let i = 0; i < count; i++) await put(`${half}/${name}/${i}.png`, await png(10 * ++shade));
}

test('train/ and test/ with class folders; classes are in the order of their names', async () => {
  await putHalves();
  const seen: number[] = [];
  const { train, test: held, warnings } = await load({ onPictures: (p) => seen.push(p.done / p.total) });
  expect(train).toMatchObject({ name: folder, classes: ['cat', 'dog'], ...size, samples: 4 });
  expect([...train.labels]).toEqual([0, 0, 1, 1]);
  expect([...held.labels]).toEqual([0, 1]);
  expect([0, 24, 48, 72, 144].map((at) => train.images[at])).toEqual([10, 100, 200, 20, 30]);
  expect(train.images).toHaveLength(4 * 72);
  expect(warnings).toEqual([]);
  expect(seen).toEqual([...seen].sort());
  expect(seen.at(-1)).toBe(1);
});

test('class folders alone are split by a seed and by name, every class alike', async () => {
  for (let i = 0; i < 20; i++) await put(`${i < 10 ? 'a' : 'b'}/${i}.png`, await png(i));
  const one = await load();
  expect([one.train.samples, one.test.samples]).toEqual([16, 4]);
  expect([...one.test.labels]).toEqual([0, 0, 1, 1]);
  expect(await load()).toEqual(one);
  const shades = (data: typeof one.test) =>
    Array.from({ length: data.samples }, (_, n) => data.images[n * 72]!);
  expect([...shades(one.train), ...shades(one.test)].sort((a, b) => a - b)).toEqual(
    Array.from({ length: 20 }, (_, i) => i),
  );
  const others = await Promise.all([2, 3, 4].map((splitSeed) => load({ splitSeed })));
  expect(others.some((other) => shades(other.test).join() !== shades(one.test).join())).toBe(true);
});

test('pictures become, bit for bit, what a device makes of them', async () => {
  await putHalves();
  const noise = Buffer.from(Array.from({ length: 31 * 17 * 3 }, (_, i) => (i * 7919) % 256));
  const file = await sharp(noise, { raw: { width: 31, height: 17, channels: 3 } })
    .png()
    .toBuffer();
  await put('train/cat/0.png', file);
  const { train } = await load();
  const device = preprocess(await decodePicture(file, 'x'), { ...size, scale: 1, mean: [0], std: [1] });
  expect([...train.images.subarray(0, 72)]).toEqual([...device.data]);
  const grey = await load({ size: { channels: 1, height: 4, width: 6 } });
  expect(grey.train.images).toHaveLength(4 * 24);
  expect(grey.train.images[24]).toBe((19595 * 20 + 38470 * 100 + 7471 * 200 + 32768) >> 16);
});

test('grey, 16-bit, CMYK, animated and turned pictures are what they show; what was lost is counted', async () => {
  await putHalves();
  const wide = Uint16Array.from({ length: 24 }, () => 257 * 120);
  await put('train/cat/x1-grey.png', await plain(90, 90, 90).toColourspace('b-w').png().toBuffer());
  const grey16 = sharp(wide, { raw: { width: 6, height: 4, channels: 1 } }).toColourspace('grey16');
  await put('train/cat/x2-deep.png', await grey16.png().toBuffer());
  await put(
    'train/cat/x3-cmyk.jpg',
    await plain(192, 32, 64).toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer(),
  );
  const frames = Buffer.concat([Buffer.alloc(72, 240), Buffer.alloc(72, 10)]);
  const animation = sharp(frames, { raw: { width: 6, height: 8, channels: 3, pageHeight: 4 } });
  await put('train/cat/x4-frames.webp', await animation.webp({ lossless: true }).toBuffer());
  const halves = Buffer.concat([Buffer.alloc(36, 0), Buffer.alloc(36, 200)]);
  const upright = sharp(halves, { raw: { width: 6, height: 4, channels: 3 } });
  await put(
    'train/cat/x5-turned.jpg',
    await upright.withMetadata({ orientation: 3 }).jpeg({ quality: 100 }).toBuffer(),
  );
  const { train, warnings } = await load();
  const at = (n: number, i: number) => train.images[n * 72 + i]!;
  const reds = [2, 3, 4, 5, 6].map((n) => at(n, 0));
  expect(reds[0]).toBe(90);
  expect(reds[1]).toBe(120);
  expect(Math.abs(reds[2]! - 192)).toBeLessThan(12);
  expect(reds[3]).toBe(240);
  expect(reds[4]).toBeGreaterThan(190);
  expect(at(6, 23)).toBeLessThan(10);
  expect(warnings.map(({ kind, count }) => [kind, count])).toEqual([
    ['reduced', 2],
    ['animated', 1],
  ]);
  expect(warnings[0]!.message).toMatch(
    /2 pictures have 16 bits or are CMYK.*x2-deep\.png, train\/cat\/x3-cmyk\.jpg$/,
  );
});

test('what is no whole picture is left out and counted', async () => {
  await putHalves();
  await put('train/cat/a.txt', 'a note');
  await put('train/cat/b.png', '');
  const noise = Buffer.from(Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 7919) % 256));
  const jpeg = await sharp(noise, { raw: { width: 64, height: 64, channels: 3 } })
    .jpeg()
    .toBuffer();
  await put('train/cat/c.jpg', jpeg.subarray(0, jpeg.length / 2));
  await put('test/dog/d.png', await plain(1, 2, 3, 12_000, 9_000).png().toBuffer());
  await put('train/cat/more/e.png', await png(99));
  await put('train/readme.md', 'hello');
  await put('val/cat/f.png', await png(98));
  await put('train/cat/.DS_Store', 'hidden');
  const { train, test: held, warnings } = await load();
  expect([train.samples, held.samples]).toEqual([4, 2]);
  expect(warnings).toMatchObject([
    { kind: 'not-read', count: 3 },
    { kind: 'not-decoded', count: 4 },
  ]);
  expect(warnings[1]!.message).toMatch(
    /4 files cannot be decoded.*a\.txt \(.*\), .*b\.png \(.*\), .*c\.jpg \(.*\), \.\.\.$/,
  );
});

test('equal files in two classes or in both halves, and classes named alike, are counted', async () => {
  await putHalves();
  await put('train/Cat /x.png', await png(250));
  await put('train/dog/again.png', await png(10));
  await put('test/dog/leak.png', await png(30));
  const { warnings } = await load();
  expect(warnings.map(({ kind, count }) => [kind, count])).toEqual([
    ['alike', 1],
    ['duplicate', 1],
    ['leak', 1],
    ['untested', 1],
  ]);
  expect(warnings[1]!.message).toContain('train/dog/again.png');
  expect(warnings[3]!.message).toContain('Cat ');
});

test('links are followed; one that leads nowhere is named', async () => {
  await putHalves();
  await symlink(join(folder, 'train/cat/0.png'), join(folder, 'train/cat/linked.png'));
  await mkdir(join(folder, 'elsewhere'));
  expect((await load()).train.samples).toBe(5);
  await symlink(join(folder, 'nowhere.png'), join(folder, 'train/cat/lost.png'));
  await expect(load()).rejects.toThrow(code('FILE_UNREADABLE', /lost\.png: cannot be read: ENOENT/));
});

test.each<[string, () => Promise<void>, ErrorCode, RegExp]>([
  ['an empty folder', async () => {}, 'DATA_MISSING', /no class folders/],
  ['files without classes', () => put('a.png', 'x'), 'DATA_MISSING', /no class folders/],
  ['one class', async () => put('only/a.png', await png(1)), 'DATA_CORRUPT', /one class only, only/],
  [
    'an empty class',
    async () => {
      await putHalves();
      await mkdir(join(folder, 'train/emu'));
    },
    'DATA_CORRUPT',
    /emu: this class is empty/,
  ],
  [
    'a test class that nothing is learnt of',
    async () => {
      await putHalves();
      await put('test/cats/a.png', await png(1));
    },
    'DATA_CORRUPT',
    /test\/cats: there is no train\/cats/,
  ],
  ['train/ alone', async () => put('train/a/1.png', await png(1)), 'DATA_MISSING', /no test\/ beside it/],
  [
    'a class of one picture to split',
    async () => {
      for (const name of ['a/1', 'a/2', 'b/1']) await put(`${name}.png`, await png(1));
    },
    'DATA_CORRUPT',
    /b: this class has one picture/,
  ],
  [
    'a class of which nothing can be decoded',
    async () => {
      await putHalves();
      for (const i of [0, 1]) await put(`train/dog/${i}.png`, 'no picture');
    },
    'DATA_CORRUPT',
    /dog: no training picture of this class can be decoded/,
  ],
  [
    'test pictures of which none can be decoded',
    async () => {
      await putHalves();
      for (const name of ['cat', 'dog']) await put(`test/${name}/0.png`, 'no picture');
    },
    'DATA_CORRUPT',
    /no test picture that can be decoded/,
  ],
])('%s is one error that says so', async (_, make, expected, what) => {
  await make();
  await expect(load()).rejects.toThrow(code(expected, what));
});

test('no size, too large a size and a cancelled load are errors of their own', async () => {
  await putHalves();
  await expect(loadDataset(folder)).rejects.toThrow(code('USAGE', /say what size/));
  const large = { channels: 3, height: 40_000, width: 40_000 } as const;
  await expect(load({ size: large })).rejects.toThrow(code('USAGE', /4 pictures of .* take 19\.2 GB/));
  const stop = new AbortController();
  const loading = load({ signal: stop.signal, onPictures: () => stop.abort() });
  await expect(loading).rejects.toThrow(code('CANCELLED', /abort/));
});
