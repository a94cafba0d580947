/** Sizes that are promised. Only a smaller engine or SDK may change these numbers. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { buildPage } from './site.ts';

const packages = fileURLToPath(new URL('../../packages/', import.meta.url));

/** WebAssembly files that a package has built, with their sizes. */
function wasmOf(room: string): Record<string, number> {
  const folder = `${packages}${room}/build`;
  if (!existsSync(folder)) return {};
  const names = readdirSync(folder).filter((name) => name.endsWith('.wasm'));
  return Object.fromEntries(names.map((name) => [name, readFileSync(`${folder}/${name}`).length]));
}

test('the engine that every page loads, with the codec, is 8 kB of WebAssembly', () => {
  const { 'engine-simd.wasm': engine = Number.NaN } = wasmOf('binary');
  const codec = Object.values(wasmOf('wire')).reduce((sum, bytes) => sum + bytes, 0);
  expect(engine + codec).toBeLessThanOrEqual(8_000);
});

/** Chunks that only a page without WebAssembly, SIMD or a secure context fetches. */
const forOthers = /^assets\/(javascript|scalar|sha2)-/;

test('a minimal page with the SDK is 25 kB after gzip, besides the branch', async () => {
  const files = await buildPage('first-ours', { __CHANNELS__: '1', __SIDE__: '28' });
  const sizes = [...files]
    .filter(([path]) => !forOthers.test(path))
    .map(([path, bytes]) => ({ path, bytes: gzipSync(bytes, { level: 9 }).length }));
  const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  expect(total, JSON.stringify(sizes)).toBeLessThanOrEqual(25_000);
});
