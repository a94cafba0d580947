import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { writeSafetensors } from '@tierwise/core';
import { type Digest, strategies } from '@tierwise/plan';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { mainEngine } from '../test/main-engine.ts';
import { branchBytes, mainBytes, type Site, served, startSite, tinyManifest } from '../test/site.ts';
import type { Composite, LoadOptions, Picture, Progress } from './api.ts';
import { load } from './load.ts';

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function site(...args: Parameters<typeof startSite>): Promise<Site> {
  const started = await startSite(...args);
  endings.push(started.stop);
  return started;
}

async function open(url: string, options: LoadOptions = {}): Promise<Composite> {
  const composite = await load(url, { WebSocket, engines: [mainEngine], strategies, ...options });
  endings.push(() => composite.dispose());
  return composite;
}

const grey = (...data: number[]) => ({ data: Uint8Array.from(data), width: 2, height: 2 });
const sure = grey(100, 0, 0, 7);
const unsure = grey(3, 2, 1, 7);
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const branchPath = `/artifacts/${digest(branchBytes)}`;

describe('loading', () => {
  test('fetches the manifest and what the Plan needs here, by digest, and tells how far it is', async () => {
    const { url, paths } = await site();
    const told: Progress[] = [];
    const composite = await open(url, { onProgress: (progress) => told.push(progress) });
    expect(paths.filter((path) => !path.startsWith('/v2'))).toEqual([
      '/models/tiny/manifest.json',
      branchPath,
    ]);
    expect(composite.manifest.name).toBe('tiny');
    expect(composite.plan.strategy).toBe('lcdnn');
    const totalBytes = branchBytes.length;
    expect(told[0]).toEqual({ file: 'branch.safetensors', loadedBytes: 0, totalBytes });
    expect(told.at(-1)).toEqual({ file: 'branch.safetensors', loadedBytes: totalBytes, totalBytes });
  });

  test.each(['', '/', '/manifest.json', '/manifest.json?v=2'])('the address may end in "%s"', async (end) => {
    const { url, files } = await site();
    files.set('/models/tiny/manifest.json?v=2', files.get('/models/tiny/manifest.json')!);
    expect((await open(url + end, { edge: false })).manifest.name).toBe('tiny');
  });

  test('a folder on a plain web server is enough: files beside the manifest, no edge', async () => {
    const { url, paths } = await site(tinyManifest());
    const composite = await open(url);
    expect(paths).toEqual(['/models/tiny/manifest.json', '/models/tiny/branch.safetensors']);
    expect(composite.edgeState).toBe('none');
    expect(await composite.classify(unsure)).toMatchObject({
      tier: 'device',
      degraded: { code: 'EDGE_UNREACHABLE' },
    });
  });

  const json = (value: unknown) => JSON.stringify(value);
  test.each<[string, (files: Site['files']) => void, string]>([
    ['a manifest that is not there', (files) => files.delete('/models/tiny/manifest.json'), 'MODEL_UNKNOWN'],
    [
      'a manifest that is a page',
      (files) => files.set('/models/tiny/manifest.json', '<!doctype html>'),
      'MANIFEST_INVALID',
    ],
    [
      'a manifest of another kind',
      (files) => files.set('/models/tiny/manifest.json', json({ format: 'other' })),
      'MANIFEST_INVALID',
    ],
    [
      'a server that fails',
      (files) => files.set('/models/tiny/manifest.json', (response) => response.writeHead(500).end('no')),
      'EDGE_UNREACHABLE',
    ],
    ['an artifact that is not there', (files) => files.delete(branchPath), 'ARTIFACT_UNKNOWN'],
    [
      'an artifact cut short',
      (files) => files.set(branchPath, branchBytes.subarray(0, branchBytes.length - 1)),
      'DIGEST_MISMATCH',
    ],
    [
      'an artifact with more behind it',
      (files) => files.set(branchPath, Buffer.concat([branchBytes, Buffer.alloc(1)])),
      'DIGEST_MISMATCH',
    ],
    [
      'an artifact with one bit flipped',
      (files) =>
        files.set(
          branchPath,
          branchBytes.map((byte, i) => (i === 200 ? byte ^ 1 : byte)),
        ),
      'DIGEST_MISMATCH',
    ],
    [
      'an artifact that breaks off',
      (files) =>
        files.set(branchPath, (response) => {
          response.writeHead(200, { 'content-length': branchBytes.length });
          response.write(branchBytes.subarray(0, 100), () => response.destroy());
        }),
      'EDGE_UNREACHABLE',
    ],
  ])('%s is one error', async (_, spoil, code) => {
    const { url, files, sockets } = await site();
    spoil(files);
    await expect(open(url)).rejects.toMatchObject({ name: 'TierwiseError', code });
    await Promise.all([...sockets].map((socket) => once(socket, 'close')));
  });

  test.each([
    ['whose header never ends', new Uint8Array(40).fill(255), 'SAFETENSORS_CORRUPT'],
    ['of a few bytes', Uint8Array.of(1, 2, 3), 'SAFETENSORS_CORRUPT'],
    ['that is no program', writeSafetensors(new Map(), {}), 'PROGRAM_CORRUPT'],
  ])('a branch of the right digest %s is refused', async (_, bytes, code) => {
    const { branch } = tinyManifest({ served });
    const digest = createHash('sha256').update(bytes).digest('hex') as Digest;
    const artifact = { ...branch.artifact, digest, bytes: bytes.length };
    const { url, files } = await site(tinyManifest({ served, branch: { ...branch, artifact } }));
    files.set(`/artifacts/${digest}`, bytes);
    await expect(open(url)).rejects.toMatchObject({ name: 'TierwiseError', code });
  });

  test('a host that is not there is EDGE_UNREACHABLE', async () => {
    const gone = await startSite();
    await gone.stop();
    await expect(open(gone.url)).rejects.toMatchObject({ code: 'EDGE_UNREACHABLE' });
  });

  test.each(['models/tiny', 'http://'])('"%s" is no address outside a page', async (url) => {
    await expect(open(url)).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });

  test('an abort ends a download that would never end', async () => {
    const { url, files } = await site();
    files.set(branchPath, (response) => {
      response.writeHead(200).write(branchBytes.subarray(0, 100));
    });
    const stop = new AbortController();
    const onProgress = ({ loadedBytes }: Progress) => {
      if (loadedBytes === 100) stop.abort();
    };
    await expect(open(url, { signal: stop.signal, onProgress })).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(open(url, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  test('an edge elsewhere, by http or ws address; other addresses are refused', async () => {
    const { url } = await site(tinyManifest());
    const stream = new URL('/v2/stream', url);
    for (const edge of [stream.href, stream.href.replace('http', 'ws'), '/v2/stream']) {
      expect(await (await open(url, { edge })).classify(unsure)).toMatchObject({ tier: 'edge' });
    }
    await expect(open(url, { edge: 'mailto:edge' })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });
});

describe('classifying', () => {
  test('a sure picture stays on the device', async () => {
    const answer = await (await open((await site()).url)).classify(sure);
    expect(answer).toMatchObject({
      label: 'a',
      classIndex: 0,
      tier: 'device',
      exit: 'branch',
      threshold: 0.5,
    });
    expect(answer.entropy).toBeLessThan(0.5);
    expect(answer.probabilities.reduce((sum, p) => sum + p)).toBeCloseTo(1, 12);
    expect(answer.path.map((step) => step.section)).toEqual(['device']);
    expect(answer.totalMs).toBeGreaterThanOrEqual(answer.path[0]!.computeMs);
    expect(answer.sent).toBeUndefined();
    expect(answer.degraded).toBeUndefined();
  });

  test('an unsure one is finished by the edge, and the answer tells what left', async () => {
    const answer = await (await open((await site()).url)).classify(unsure);
    expect(answer).toMatchObject({
      label: 'c',
      tier: 'edge',
      exit: 'main',
      sent: { tensor: 'stem', dims: [1, 1, 2, 2], rawBytes: 16 },
    });
    expect(answer.entropy).toBeGreaterThan(0.5);
    expect(answer.path.map((step) => step.place)).toEqual(['device', 'edge']);
    expect(answer.path[1]!.uplinkBytes).toBeGreaterThan(answer.sent!.bytes);
  });

  test('colours are made grey and sizes fitted before', async () => {
    const composite = await open((await site()).url);
    const rgba = new Uint8ClampedArray(4 * 16);
    for (const i of [0, 1, 4, 5]) rgba.fill(100, 4 * i, 4 * i + 3);
    for (let i = 0; i < 16; i++) rgba[4 * i + 3] = 255;
    const large = await composite.classify({ data: rgba, width: 4, height: 4 });
    expect(large.probabilities).toEqual((await composite.classify(grey(100, 0, 0, 0))).probabilities);
  });

  test('thresholds: for one call, for all later ones, and what is none', async () => {
    const composite = await open((await site()).url);
    expect(composite.threshold).toBe(0.5);
    expect(await composite.classify(sure, { threshold: 0 })).toMatchObject({ tier: 'edge', threshold: 0 });
    composite.setThreshold(1.01);
    expect(composite.threshold).toBe(1.01);
    expect(await composite.classify(unsure)).toMatchObject({ tier: 'device', threshold: 1.01 });
    expect(() => composite.setThreshold(2)).toThrow(expect.objectContaining({ code: 'PLAN_INVALID' }));
    await expect(composite.classify(sure, { threshold: Number.NaN })).rejects.toMatchObject({
      code: 'PLAN_INVALID',
    });
    expect(composite.threshold).toBe(1.01);
  });

  test.each<[string, unknown]>([
    ['nothing', null],
    ['text', 'cat.jpg'],
    ['an image that has not loaded', { naturalWidth: 0, naturalHeight: 0 }],
    ['too few bytes', { data: new Uint8Array(3), width: 2, height: 2 }],
    ['an empty picture', { data: new Uint8Array(0), width: 0, height: 0 }],
    ['numbers in place of bytes', { data: [1, 2, 3, 4], width: 2, height: 2 }],
    ['a canvas where there is none', { width: 2, height: 2 }],
  ])('%s is no picture', async (_, picture) => {
    const composite = await open((await site()).url, { edge: false });
    await expect(composite.classify(picture as Picture)).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
  });

  test.each([0, -1, Number.NaN])('a time limit of %d ms is refused', async (timeoutMs) => {
    const composite = await open((await site()).url, { edge: false });
    await expect(composite.classify(sure, { timeoutMs })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });

  test('many pictures at once each get their own answer', async () => {
    const composite = await open((await site()).url);
    const values = Array.from({ length: 40 }, (_, i) => [(i * 7) % 5, (i * 3) % 5, i % 5, 0]);
    const answers = await Promise.all(
      values.map((value) => composite.classify(grey(...value), { threshold: 0 })),
    );
    for (const [i, { probabilities, tier }] of answers.entries()) {
      const [p0, p1, p2] = values[i]! as [number, number, number];
      expect(tier).toBe('edge');
      expect(Math.log(probabilities[0]! / probabilities[2]!)).toBeCloseTo(p1 - p0, 9);
      expect(Math.log(probabilities[1]! / probabilities[2]!)).toBeCloseTo(p2 - p0, 9);
    }
  });
});

describe('when the edge goes', () => {
  test('the branch answers, marked, both events come, and the edge is used again when it is back', async () => {
    const { url, sockets } = await site();
    const composite = await open(url);
    expect(await composite.classify(unsure)).toMatchObject({ tier: 'edge' });
    const heard: unknown[] = [];
    composite.on('edge', (state) => heard.push(state));
    composite.on('degraded', ({ code }) => heard.push(code));
    for (const socket of sockets) {
      socket.removeAllListeners('message');
      socket.on('message', () => socket.terminate());
    }
    const answer = await composite.classify(unsure);
    expect(answer).toMatchObject({
      label: 'a',
      tier: 'device',
      exit: 'branch',
      degraded: { code: 'EDGE_UNREACHABLE', reason: expect.stringContaining('/v2/stream was lost') },
      sent: { tensor: 'stem' },
    });
    expect(composite.edgeState).toBe('unreachable');
    expect(await composite.classify(unsure)).toMatchObject({ tier: 'edge' });
    expect(heard).toEqual(['unreachable', 'EDGE_UNREACHABLE', 'connected']);
  });

  test('an edge that is silent costs the time limit and no more', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    endings.push(() => silent.close());
    const { url } = await site();
    const { port } = silent.address() as { port: number };
    const composite = await open(url, { edge: `ws://127.0.0.1:${port}` });
    const answer = await composite.classify(unsure, { timeoutMs: 10 });
    expect(answer).toMatchObject({ tier: 'device', degraded: { code: 'TIMEOUT' } });
    expect(answer.sent).toBeUndefined();
  });

  test('an edge that does not know this version any more makes the page outdated', async () => {
    const { url } = await site(tinyManifest({ served, name: 'renamed' }));
    const old = tinyManifest({ served });
    const composite = await open(url, {
      fetch: async (address) =>
        String(address).endsWith('manifest.json') ? new Response(JSON.stringify(old)) : fetch(address),
      edge: new URL('/v2/stream', url).href,
    });
    const heard = new Promise((resolve) => composite.on('outdated', resolve));
    expect(await composite.classify(unsure)).toMatchObject({
      tier: 'device',
      degraded: { code: 'ARTIFACT_UNKNOWN' },
    });
    expect(await heard).toMatchObject({ code: 'ARTIFACT_UNKNOWN', reason: expect.stringContaining('lcdnn') });
  });

  test('a listener that was taken off hears nothing', async () => {
    const { url } = await site(tinyManifest());
    const composite = await open(url);
    let heard = 0;
    const off = composite.on('degraded', () => heard++);
    await composite.classify(unsure);
    await Promise.resolve();
    off();
    off();
    await composite.classify(unsure);
    await Promise.resolve();
    expect(heard).toBe(1);
  });
});

describe('changing the strategy', () => {
  test('device-only fetches the whole network once, and then nothing leaves', async () => {
    const { url, paths } = await site();
    const composite = await open(url);
    const files: string[] = [];
    await composite.use('device-only', { onProgress: ({ file }) => files.push(file) });
    expect(composite.plan.strategy).toBe('device-only');
    expect(composite.threshold).toBeUndefined();
    expect(new Set(files)).toEqual(new Set(['model.onnx']));
    const answer = await composite.classify(unsure);
    expect(answer).toMatchObject({ label: 'c', tier: 'device', exit: 'main' });
    expect(answer.threshold).toBeUndefined();
    await composite.use('lcdnn');
    await composite.use('device-only');
    expect(paths.filter((path) => path === `/artifacts/${digest(mainBytes)}`)).toHaveLength(1);
    expect(paths.filter((path) => path === branchPath)).toHaveLength(1);
  });

  test('an engine that is missing is named before anything is fetched, and the old Plan stays', async () => {
    const { url, paths } = await site();
    const composite = await open(url, { engines: [] });
    const before = paths.length;
    await expect(composite.use('device-only')).rejects.toMatchObject({
      code: 'ENGINE_MISSING',
      message: expect.stringContaining('"onnx"'),
    });
    expect(paths).toHaveLength(before);
    expect(await composite.classify(sure)).toMatchObject({ exit: 'branch' });
  });

  test('the picture leaves only where that is allowed, and with an edge to go to', async () => {
    const { url } = await site();
    await expect((await open(url)).use('edge-only')).rejects.toMatchObject({ code: 'PLAN_INVALID' });
    await expect(
      open(url, { strategy: 'edge-only', rawInputMayLeave: true, edge: false }),
    ).rejects.toMatchObject({ code: 'PLAN_INVALID' });
    const allowed = await open(url, { strategy: 'edge-only', rawInputMayLeave: true });
    expect(await allowed.classify(sure)).toMatchObject({
      tier: 'edge',
      sent: { tensor: 'pixels', dims: [1, 1, 2, 2] },
    });
  });

  test('edge-only has no branch to fall back on', async () => {
    const { url, sockets } = await site();
    const composite = await open(url, { strategy: 'edge-only', rawInputMayLeave: true });
    await composite.classify(sure);
    for (const socket of sockets)
      socket.removeAllListeners('message').on('message', () => socket.terminate());
    await expect(composite.classify(sure)).rejects.toMatchObject({ code: 'EDGE_UNREACHABLE' });
  });

  test('of two changes at the same time the later one wins', async () => {
    const { url, files } = await site();
    const composite = await open(url);
    let finish = () => {};
    files.set(`/artifacts/${digest(mainBytes)}`, (response) => {
      finish = () => response.end(mainBytes);
      response.writeHead(200).flushHeaders();
    });
    let arrived = () => {};
    const waiting = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const slow = composite.use('device-only', { onProgress: () => arrived() });
    await waiting;
    await composite.use('lcdnn');
    // The request may still be on its way: end it whenever it comes.
    files.set(`/artifacts/${digest(mainBytes)}`, mainBytes);
    finish();
    await slow;
    expect(composite.plan.strategy).toBe('lcdnn');
  });

  test('a strategy that is none', async () => {
    const composite = await open((await site()).url);
    await expect(composite.use('magic')).rejects.toMatchObject({ code: 'PLAN_INVALID' });
  });
});

describe('disposing', () => {
  test('ends the link and every wait, once', async () => {
    const { url, sockets } = await site();
    const composite = await open(url);
    await composite.classify(unsure);
    const [socket] = sockets;
    socket!.removeAllListeners('message');
    const asked = once(socket!, 'message');
    const closed = once(socket!, 'close');
    const waiting = expect(composite.classify(unsure)).rejects.toMatchObject({ code: 'DISPOSED' });
    await asked;
    await composite[Symbol.asyncDispose]();
    await composite.dispose();
    await waiting;
    await closed;
    await expect(composite.classify(sure)).rejects.toMatchObject({ code: 'DISPOSED' });
    await expect(composite.use('lcdnn')).rejects.toMatchObject({ code: 'DISPOSED' });
  });

  test('ends a download', async () => {
    const { url, files } = await site();
    const composite = await open(url);
    files.set(`/artifacts/${digest(mainBytes)}`, (response) => {
      response.writeHead(200).write(mainBytes.subarray(0, 1));
    });
    const ended = composite.use('device-only', {
      onProgress: ({ loadedBytes }) => loadedBytes === 1 && composite.dispose(),
    });
    await expect(ended).rejects.toMatchObject({ code: 'DISPOSED' });
  });
});

test('the manifest of a served bundle names its edge relative to itself', async () => {
  const { url } = await site(tinyManifest({ served: { ...served, stream: '../../v2/stream' } }));
  expect(await (await open(`${url}/`)).classify(unsure)).toMatchObject({ tier: 'edge' });
});
