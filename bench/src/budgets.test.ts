/** Sizes that are promised. Only a smaller engine or SDK may change these numbers. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { openPage, startBrowser } from './browser.ts';
import { contestantsOf, filesOf } from './first-answer.ts';
import { type SiteFiles, serveSite } from './site.ts';
import { openSubject } from './subjects.ts';

const chromePath = process.env['TIERWISE_CHROME'] ?? '/usr/bin/chromium';
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

/** The aim is 25,000; the link to an edge (5 kB) comes later and is not counted. This number may only fall. */
const pageBytes = 25_180;

test(`a minimal page with the SDK is ${pageBytes} bytes after gzip, besides the branch`, async () => {
  const subject = await openSubject('lenet');
  const files = await filesOf(contestantsOf(subject).find(({ name }) => name === 'ours')!, subject);
  const fetched = await fetchedFiles(files, 'first-ours.html');
  // The test must not pass because the page failed.
  expect(fetched).toContain('model/branch.safetensors');
  const sizes = fetched
    .filter((path) => !path.startsWith('model/'))
    .map((path) => ({ path, bytes: gzipSync(files.get(path)!, { level: 9 }).length }));
  const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  expect(total, JSON.stringify(sizes)).toBeLessThanOrEqual(pageBytes);
});

/** What a browser has fetched of a site when the page `path` has shown its answer and asks for nothing more. */
async function fetchedFiles(files: SiteFiles, path: string): Promise<string[]> {
  await using site = await serveSite(files, { compress: false });
  await using browser = await startBrowser(chromePath, new AbortController().signal);
  await using fresh = await openPage(browser);
  const { page } = fresh;
  const fetched = new Set<string>();
  page.on('request', (request) => fetched.add(new URL(request.url()).pathname.slice(1)));
  const answered = page.waitForEvent('console', (message) => message.text().startsWith('answered '));
  await page.goto(`http://127.0.0.1:${site.port}/${path}`, { waitUntil: 'networkidle' });
  await answered;
  return [...fetched].filter((name) => files.has(name));
}
