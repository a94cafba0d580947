/**
 * The conformance suite in browsers: Chromium always, Firefox when TIERWISE_FIREFOX is its executable, WebKit when
 * TIERWISE_WEBKIT is that of its MiniBrowser and Xvfb is there. The page reports by itself, so they need no driver.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildPage, type PageFiles } from '../../../scripts/built-page.ts';
import type { KernelName } from '../src/kernels/kernels.ts';
import type { ConformanceReport } from './page/conformance.ts';
import { type ConformanceSite, serve } from './site.ts';

/** What a careful page allows: its own scripts, and WebAssembly. No `unsafe-eval`, no `blob:`, no COOP or COEP. */
const strict = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'";
const withoutWasm = "default-src 'self'; script-src 'self'";
const everything = 'kernels=simd,relaxed,scalar,javascript&grid&seeds=300';

let files: PageFiles;
let site: ConformanceSite;
let strictest: ConformanceSite;
beforeAll(async () => {
  files = await buildPage(new URL('page/conformance.html', import.meta.url));
  site = await serve(files, strict);
  strictest = await serve(files, withoutWasm);
});
afterAll(async () => {
  await site?.stop();
  await strictest?.stop();
});

const chunk = (paths: readonly string[], name: string) => paths.some((path) => path.includes(`/${name}-`));

let browser: Browser;
beforeAll(async () => {
  browser = await chromium.launch({
    executablePath: process.env['TIERWISE_CHROME'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  });
});
afterAll(() => browser?.close());

async function inChromium(on: ConformanceSite, query: string): Promise<ConformanceReport> {
  const page = await browser.newPage();
  try {
    const report = on.report();
    const broken = new Promise<never>((_, reject) => page.on('pageerror', reject));
    await page.goto(on.url(query));
    return await Promise.race([report, broken]);
  } finally {
    await page.close();
  }
}

test('Chromium: every implementation, on a page that allows WebAssembly and no eval', async () => {
  const { ran, missing, passed, failures } = await inChromium(site, everything);
  expect(failures).toEqual([]);
  expect(missing).toEqual([]);
  expect(ran).toEqual(['simd', 'relaxed', 'scalar', 'javascript']);
  expect(passed).toBeGreaterThan(4 * 300);
});

test('a page gets plain SIMD, and downloads no other implementation for it', async () => {
  const from = site.paths.length;
  const report = await inChromium(site, 'kernels=auto&seeds=20');
  expect(report).toMatchObject({ ran: ['simd'], failures: [] });
  const loaded = site.paths.slice(from);
  expect(loaded.length).toBeGreaterThan(1);
  expect(['relaxed', 'others'].filter((name) => chunk(loaded, name))).toEqual([]);
});

test('a page whose content security policy forbids WebAssembly falls back to JavaScript', async () => {
  const report = await inChromium(strictest, 'kernels=auto,simd,scalar&seeds=100');
  expect(report).toMatchObject({
    ran: ['javascript'],
    missing: ['simd: CompileError', 'scalar: CompileError'],
    failures: [],
  });
  expect(chunk(strictest.paths, 'others')).toBe(true);
});

/** Starts a browser on a page that reports by itself, and ends it when it has. */
async function inBrowser(command: string, args: readonly string[], env = {}): Promise<ConformanceReport> {
  const report = site.report();
  const child = spawn(command, args, { stdio: 'ignore', env: { ...process.env, ...env } });
  const ended = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${command} ended with ${code}`)));
  });
  try {
    return await Promise.race([report, ended]);
  } finally {
    child.kill();
    await ended.catch(() => undefined);
  }
}

// A test that is skipped counts as a failure where none may be, so these exist only where the browsers do.
const { TIERWISE_FIREFOX: firefox, TIERWISE_WEBKIT: webkit } = process.env;

if (firefox) {
  test('Firefox: every implementation', async () => {
    const profile = await mkdtemp(join(tmpdir(), 'tierwise-firefox-'));
    try {
      const args = ['--headless', '--no-remote', '--profile', profile, site.url(everything)];
      const { ran, missing, failures } = await inBrowser(firefox, args);
      expect(failures).toEqual([]);
      expect(missing).toEqual([]);
      expect(ran).toEqual(['simd', 'relaxed', 'scalar', 'javascript']);
    } finally {
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    }
  }, 300_000);
}

if (webkit) {
  test('WebKit: every implementation that it has', async () => {
    // It needs a display, and says on the third descriptor which.
    const server = spawn('Xvfb', ['-displayfd', '3'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
    try {
      const [display] = await once(server.stdio[3] as Readable, 'data');
      const env = { DISPLAY: `:${String(display).trim()}`, WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1' };
      const { ran, missing, failures } = await inBrowser(webkit, [site.url(everything)], env);
      expect(failures).toEqual([]);
      expect(['simd', 'scalar', 'javascript'].filter((name) => !ran.includes(name as KernelName))).toEqual(
        [],
      );
      // Relaxed SIMD has to be enabled by hand in WebKit so far.
      expect(missing.filter((what) => !what.startsWith('relaxed'))).toEqual([]);
    } finally {
      server.kill();
      await once(server, 'exit');
    }
  }, 300_000);
}
