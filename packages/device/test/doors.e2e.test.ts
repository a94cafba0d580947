/** Both doors in Chromium, built as a user would and served under a strict content security policy. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { buildPage, contentTypeOf, type PageFiles } from '../../../scripts/built-page.ts';
import { cases } from './doors.conformance.ts';
import type { DoorName, offered as Offered } from './page/doors.ts';
import { startRealEdge } from './real-edge.ts';
import { type Site, served, startSite, tinyManifest } from './site.ts';

declare global {
  var offered: typeof Offered;
}

/** No `unsafe-eval`, no `blob:`, no COOP or COEP. */
const strict =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; img-src data:";
/** The site with the page in it. */
async function siteWith(files: PageFiles, policy: string): Promise<Site> {
  const site = await startSite(tinyManifest({ served }));
  for (const [path, body] of files) {
    site.files.set(path, (response: ServerResponse) => {
      response
        .writeHead(200, {
          'content-type': contentTypeOf(path),
          'content-security-policy': policy,
        })
        .end(body);
    });
  }
  return site;
}

let files: PageFiles;
let site: Site;
let browser: Browser;
let page: Page;
const faults: string[] = [];

async function openPage(at: Site): Promise<Page> {
  const opened = await browser.newPage();
  opened.on('pageerror', (error) => faults.push(error.message));
  await opened.goto(`${new URL(at.url).origin}/doors.html`);
  await opened.waitForFunction(() => 'offered' in globalThis);
  return opened;
}

beforeAll(async () => {
  files = await buildPage(new URL('page/doors.html', import.meta.url));
  site = await siteWith(files, strict);
  browser = await chromium.launch({
    executablePath: process.env['TIERWISE_CHROME'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  });
  page = await openPage(site);
});
afterAll(async () => {
  await browser?.close();
  await site?.stop();
});
beforeEach(() => faults.splice(0));

const doors: readonly DoorName[] = ['main', 'worker'];

describe.each(doors)('the door %s', (door) => {
  test.each(Object.keys(cases))('%s', async (name) => {
    await page.evaluate(([by, of, at]) => offered.run(by, of, at), [door, name, site.url] as const);
    await expect.poll(() => page.workers()).toEqual([]);
    expect(faults).toEqual([]);
  });

  test('takes pictures of every kind', async () => {
    const labels = await page.evaluate(([by, at]) => offered.labelsOfEveryKind(by, at), [
      door,
      site.url,
    ] as const);
    expect(Object.keys(labels)).toHaveLength(7);
    expect(new Set(Object.values(labels))).toEqual(new Set(['a device']));
  });

  test('refuses an image that has not loaded', async () => {
    const refusal = await page.evaluate(([by, at]) => offered.refusal(by, at, 'image'), [
      door,
      site.url,
    ] as const);
    expect(refusal).toBe('IMAGE_INVALID the picture has no pixels (0 x 0): is it loaded?');
  });

  test('works offline after the first visit', async () => {
    const own = await siteWith(files, strict);
    const visitor = await openPage(own);
    const visit = (first: boolean) =>
      visitor.evaluate(([by, at, wait]) => offered.visit(by, at, wait), [door, own.url, first] as const);
    expect(await visit(true)).toBe('a');
    expect(own.paths.filter((path) => path.endsWith('manifest.json'))).toHaveLength(1);
    for (const path of [...own.files.keys()].filter((name) => /^\/(models|artifacts)/.test(name))) {
      own.files.set(path, (response) => response.destroy());
    }
    expect(await visit(false)).toBe('a');
    await visitor.close();
    await own.stop();
  });

  test('10,000 classifies and 100 loads leave nothing behind', async () => {
    const session = await page.context().newCDPSession(page);
    const heap = async () => {
      await session.send('HeapProfiler.collectGarbage');
      const usage = await session.send('Runtime.getHeapUsage');
      // Newer than the types: array buffers and WebAssembly memories.
      const { backingStorageSize } = usage as typeof usage & { backingStorageSize: number };
      return usage.usedSize + backingStorageSize;
    };
    const use = (loads: number, classifies: number) =>
      page.evaluate(([by, at, count, each]) => offered.use(by, at, count, each), [
        door,
        site.url,
        loads,
        classifies,
      ] as const);
    // Code is compiled and caches are filled by the first ones.
    await use(10, 100);
    const before = await heap();
    await use(100, 100);
    const after = await heap();
    expect(after - before).toBeLessThan(1_000_000);
    const { made, alive } = await page.evaluate(() => offered.engines());
    // Those of the other door are in its workers, and end with them.
    expect(made).toBeGreaterThanOrEqual(door === 'main' ? 110 : 0);
    expect(alive).toBe(0);
    await expect.poll(() => [page.workers(), site.sockets.size]).toEqual([[], 0]);
  });
});

test('a page that may not start workers is told so', async () => {
  const forbidden = await siteWith(files, strict.replace("worker-src 'self'", "worker-src 'none'"));
  const visitor = await openPage(forbidden);
  const refusal = await visitor.evaluate((at) => offered.refusal('worker', at, 'load'), forbidden.url);
  expect(refusal).toMatch(/^ENGINE_MISSING the worker does not run/);
  await visitor.close();
  await forbidden.stop();
});

test.each(doors)(
  'a real edge elsewhere, where no WebSocket passes: HTTP, with the token, by %s',
  async (door) => {
    const folder = await mkdtemp(join(tmpdir(), 'tierwise-doors-'));
    const token = 'a-token-0123456789';
    await writeFile(join(folder, 'tokens'), `${token}\n`);
    await using edge = await startRealEdge('--token-file', join(folder, 'tokens'), '--allow-origin', '*');
    const own = await siteWith(files, strict.replace("connect-src 'self'", `connect-src 'self' ${edge.url}`));
    const visitor = await openPage(own);
    const address = `${edge.url}/models/lenet-mnist`;
    const answer = await visitor.evaluate(([by, at, given]) => offered.unsureDigit(by, at, given), [
      door,
      address,
      token,
    ] as const);
    expect(answer).toBe('1 edge undefined connected');
    const metrics = await edge.metrics(token);
    const answered = 'tierwise_requests_total{model="lenet-mnist.rest",transport="http",outcome="ok"}';
    expect(metrics.get(answered)).toBe(1);
    await visitor.close();
    await own.stop();
    await rm(folder, { recursive: true });
  },
);

test('a worker of its own brings engines that cannot be sent', async () => {
  expect(await page.evaluate((at) => offered.wholeNetwork(at), site.url)).toBe('c device main');
});

test('a video is classified frame by frame, and the stream ends when it is told to', async () => {
  expect(await page.evaluate((at) => offered.video(at), site.url)).toEqual({ answered: 10, heard: 10 });
});
