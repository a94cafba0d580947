import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256Hex } from '@tierwise/core';
import { parseManifest } from '@tierwise/plan';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEdge, type Edge } from '../src/index.ts';
import { modelsFolder, tinyBundle } from './tiny-bundle.ts';

let edge: Edge;
let models: Awaited<ReturnType<typeof modelsFolder>>;
let site: string;
const longScript = `export {}; // ${'long '.repeat(1000)}`;
const friend = 'https://friend.example';

beforeAll(async () => {
  models = await modelsFolder();
  await models.add();
  await writeFile(join(models.path, 'secret.txt'), 'hidden content');
  site = await mkdtemp(join(tmpdir(), 'tierwise-site-'));
  await writeFile(join(site, 'index.html'), '<!doctype html><title>demo</title>');
  await mkdir(join(site, 'assets'));
  await writeFile(join(site, 'assets', 'main-abc.js'), 'export {};');
  await writeFile(join(site, 'assets', 'long-abc.js'), longScript);
  await writeFile(join(site, '.env'), 'hidden content');
  edge = await createEdge({ models: models.path, port: 0, site, allowOrigins: [friend] });
});
afterAll(async () => {
  await edge.close();
  await models.dispose();
  await rm(site, { recursive: true });
});

const get = (path: string, headers: Record<string, string> = {}) => fetch(`${edge.url}${path}`, { headers });

/** Sends the path as it is; fetch would resolve its dots first. */
function getRaw(path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    httpRequest({ port: edge.port, path }, (response) => {
      let body = '';
      response.on('data', (part: Buffer) => {
        body += part.toString();
      });
      response.on('end', () => resolve({ status: response.statusCode!, body }));
    })
      .on('error', reject)
      .end();
  });
}

describe('bundles over HTTP', () => {
  it.each(['tiny', 'tiny.tierwise'])(
    'serves the manifest of %s, saying where the rest is found',
    async (folder) => {
      const response = await get(`/models/${folder}/manifest.json`);
      expect(response.headers.get('cache-control')).toBe('no-cache');
      expect(response.headers.get('content-type')).toMatch(/^application\/json/);
      const manifest = parseManifest(await response.json());
      expect(manifest).toEqual({
        ...(await tinyBundle()).manifest,
        served: { artifacts: '/artifacts/', stream: '/v2/stream', infer: '/v2/models/' },
      });
      const again = await get(`/models/${folder}/manifest.json`, {
        'if-none-match': response.headers.get('etag')!,
      });
      expect([again.status, await again.text()]).toEqual([304, '']);
    },
  );

  it('serves artifacts by digest for ever, and files by name for now', async () => {
    const { manifest } = await tinyBundle();
    for (const { digest, bytes, file } of [manifest.branch.artifact, manifest.main.artifact]) {
      const byDigest = await get(`/artifacts/${digest}`);
      const body = new Uint8Array(await byDigest.arrayBuffer());
      expect([body.length, await sha256Hex(body)]).toEqual([bytes, digest]);
      expect(byDigest.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
      expect(byDigest.headers.get('etag')).toBe(`"${digest}"`);
      expect(byDigest.headers.get('content-type')).toBe('application/octet-stream');
      expect(byDigest.headers.get('content-length')).toBe(String(bytes));
      expect((await get(`/artifacts/${digest}`, { 'if-none-match': `"${digest}"` })).status).toBe(304);
      const byName = await get(`/models/tiny/${file}`);
      expect(byName.headers.get('cache-control')).toBe('no-cache');
      expect(await sha256Hex(new Uint8Array(await byName.arrayBuffer()))).toBe(digest);
    }
  });

  it.each([
    '/artifacts/0000',
    `/artifacts/${'0'.repeat(64)}`,
    '/models/tiny/nope.bin',
    '/models/nope/manifest.json',
  ])('has nothing at %s', async (path) => {
    const response = await get(path);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: 'ARTIFACT_UNKNOWN' });
  });

  it.each([
    '/models/../secret.txt',
    '/models/tiny/../../secret.txt',
    '/models/tiny/..%2f..%2fsecret.txt',
    '/models/..%2f/secret.txt',
    '/models/%2e%2e/secret.txt',
    '/models/./secret.txt',
    '/models//secret.txt',
    '/artifacts/..%2f..%2fsecret.txt',
    '/../../../../etc/passwd',
    '/..%2f..%2f..%2f..%2fetc/passwd',
    '/assets/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd',
    '/%00/etc/passwd',
    '/.env',
  ])('does not leave its folders for %s', async (path) => {
    const { status, body } = await getRaw(path);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
    expect(body).not.toMatch(/hidden content|root:/);
  });
});

describe('files on their way', () => {
  it('are compressed once, where that helps', async () => {
    const { manifest } = await tinyBundle();
    const address = `/artifacts/${manifest.main.artifact.digest}`;
    for (const encoding of ['br', 'gzip']) {
      // The first to ask begins it and does not wait.
      let response = await get(address, { 'accept-encoding': encoding });
      while (response.headers.get('content-encoding') === null) {
        await response.arrayBuffer();
        response = await get(address, { 'accept-encoding': encoding });
      }
      expect(response.headers.get('content-encoding')).toBe(encoding);
      expect(Number(response.headers.get('content-length'))).toBeLessThan(manifest.main.artifact.bytes);
      expect(response.headers.get('vary')).toMatch(/accept-encoding/i);
      expect(await sha256Hex(new Uint8Array(await response.arrayBuffer()))).toBe(
        manifest.main.artifact.digest,
      );
      const etag = response.headers.get('etag')!;
      const again = await get(address, { 'accept-encoding': encoding, 'if-none-match': etag });
      expect([again.status, again.headers.get('content-encoding')]).toEqual([304, null]);
    }
    expect((await get(address, { 'accept-encoding': 'identity' })).headers.get('content-encoding')).toBe(
      null,
    );
  });

  it('can be resumed where they broke off', async () => {
    const { manifest } = await tinyBundle();
    const { digest, bytes } = manifest.branch.artifact;
    const whole = new Uint8Array(await (await get(`/artifacts/${digest}`)).arrayBuffer());
    const parts: [string, number, number][] = [
      ['bytes=100-', 100, bytes],
      ['bytes=0-9', 0, 10],
      [`bytes=${bytes - 1}-${bytes + 50}`, bytes - 1, bytes],
    ];
    for (const [range, from, to] of parts) {
      const response = await get(`/artifacts/${digest}`, { range, 'if-range': `"${digest}"` });
      expect([response.status, response.headers.get('content-range')]).toEqual([
        206,
        `bytes ${from}-${to - 1}/${bytes}`,
      ]);
      expect(new Uint8Array(await response.arrayBuffer())).toEqual(whole.slice(from, to));
    }
    for (const headers of [
      { range: 'bytes=10-', 'if-range': '"of an older file"' },
      { range: 'bytes=9-3' },
      { range: `bytes=${bytes}-` },
      { range: 'bytes=-5' },
      { range: 'lines=1-2' },
    ]) {
      const response = await get(`/artifacts/${digest}`, headers);
      expect([response.status, (await response.arrayBuffer()).byteLength]).toEqual([200, bytes]);
    }
  });
});

describe('the site', () => {
  it('is served at /, its hashed files for ever', async () => {
    const page = await get('/');
    expect(await page.text()).toContain('demo');
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    expect(page.headers.get('cache-control')).toBe('no-cache');
    const script = await get('/assets/main-abc.js');
    expect(script.headers.get('content-type')).toMatch(/javascript/);
    expect(script.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
  });

  it('goes out small to whoever takes it so, and never in parts of what is small', async () => {
    for (const [accepted, encoding] of [
      ['gzip, deflate, br', 'br'],
      ['gzip', 'gzip'],
      ['identity', null],
    ] as const) {
      const sent = await get('/assets/long-abc.js', { 'accept-encoding': accepted });
      expect(sent.headers.get('content-encoding')).toBe(encoding);
      expect(sent.headers.get('cache-control')).toContain('immutable');
      expect(await sent.text()).toBe(longScript);
    }
    const part = await get('/assets/long-abc.js', { 'accept-encoding': 'br', range: 'bytes=7-9' });
    expect([part.status, part.headers.get('content-encoding')]).toEqual([206, null]);
    expect(await part.text()).toBe(longScript.slice(7, 10));
  });

  it('has headers that a built page with WebAssembly can live with', async () => {
    const { headers } = await get('/');
    const policy = headers.get('content-security-policy')!;
    expect(policy).toContain("default-src 'self'");
    expect(policy).toContain("script-src 'self' 'wasm-unsafe-eval'");
    expect(policy).toContain("connect-src 'self' ws: wss:");
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('must have a page', async () => {
    const failure = createEdge({ models: models.path, port: 0, site: models.path });
    await expect(failure).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  });
});

describe('other origins', () => {
  it('may read only when allowed', async () => {
    const allowed = await get('/models/tiny/manifest.json', { origin: friend });
    expect(allowed.headers.get('access-control-allow-origin')).toBe(friend);
    const other = await get('/models/tiny/manifest.json', { origin: 'https://other.example' });
    expect(other.headers.get('access-control-allow-origin')).not.toBe('https://other.example');
  });

  it('may post only when allowed', async () => {
    const post = (origin: string) =>
      fetch(`${edge.url}/v2/repository/index`, { method: 'POST', headers: { origin } });
    expect((await post(friend)).status).toBe(200);
    expect((await post(edge.url)).status).toBe(200);
    for (const origin of ['https://other.example', 'null']) {
      const response = await post(origin);
      expect(response.status).toBe(403);
      expect(await response.json()).toMatchObject({ code: 'ORIGIN_REFUSED' });
    }
  });

  it('may all read and post when * is allowed', async () => {
    const open = await createEdge({ models: models.path, port: 0, allowOrigins: ['*'] });
    const headers = { origin: 'https://other.example' };
    const read = await fetch(`${open.url}/v2`, { headers });
    expect(read.headers.get('access-control-allow-origin')).toBe('*');
    const posted = await fetch(`${open.url}/v2/repository/index`, { method: 'POST', headers });
    expect(posted.status).toBe(200);
    await open.close();
  });
});
