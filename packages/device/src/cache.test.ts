import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { strategies } from '@tierwise/plan';
import { afterEach, describe, expect, test } from 'vitest';
import { mainEngine } from '../test/main-engine.ts';
import { branchBytes, mainBytes, type Site, startSite, tinyManifest } from '../test/site.ts';
import type { CacheLike, Composite, LoadOptions } from './api.ts';
import { forget, versions } from './cache.ts';
import { load } from './load.ts';

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function site(manifest = tinyManifest()): Promise<Site> {
  const started = await startSite(manifest);
  endings.push(started.stop);
  return started;
}

/** Cache Storage as a browser has it, as far as it is used; `full` makes it refuse. */
function storage(): CacheLike & { readonly entries: Map<string, Response>; full: boolean } {
  const entries = new Map<string, Response>();
  return {
    entries,
    full: false,
    match: async (url) => entries.get(url)?.clone(),
    async put(url, response) {
      if (this.full) throw new DOMException('no room', 'QuotaExceededError');
      entries.set(url, response);
    },
    delete: async (url) => entries.delete(url),
    keys: async () => [...entries.keys()].map((url) => ({ url })),
  };
}

async function open(url: string, cache: LoadOptions['cache'], options: LoadOptions = {}): Promise<Composite> {
  const composite = await load(url, { cache, engines: [mainEngine], strategies, ...options });
  endings.push(() => composite.dispose());
  return composite;
}

const sure = { data: Uint8Array.of(100, 0, 0, 7), width: 2, height: 2 };
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const branchPath = '/models/tiny/branch.safetensors';
const artifactKey = `https://artifacts.tierwise.invalid/${digest(branchBytes)}`;
const asked = ({ paths }: Site) => paths.filter((path) => path === branchPath).length;

/** Waits for what goes on after loading. */
async function until(there: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await there())) await new Promise((resolve) => setImmediate(resolve));
}
const kept = ({ entries }: ReturnType<typeof storage>, key = artifactKey) => until(() => entries.has(key));

describe('after the first visit', () => {
  test('artifacts are not fetched again, the manifest is', async () => {
    const served = await site();
    const cache = storage();
    await open(served.url, cache);
    await kept(cache);
    const told: number[] = [];
    const again = await open(served.url, cache, { onProgress: ({ loadedBytes }) => told.push(loadedBytes) });
    expect(await again.classify(sure)).toMatchObject({ label: 'a' });
    expect(told.at(-1)).toBe(branchBytes.length);
    expect(served.paths).toEqual(['/models/tiny/manifest.json', branchPath, '/models/tiny/manifest.json']);
  });

  test.each<[string, (served: Site) => unknown]>([
    ['is gone', (served) => served.stop()],
    [
      'fails',
      ({ files }) => files.set('/models/tiny/manifest.json', (response) => response.writeHead(503).end()),
    ],
  ])('a server that %s is not needed', async (_, fail) => {
    const served = await site();
    const cache = storage();
    await open(served.url, cache);
    await kept(cache);
    await fail(served);
    expect(await (await open(served.url, cache)).classify(sure)).toMatchObject({ label: 'a' });
    await expect(open(served.url, storage())).rejects.toMatchObject({ code: 'EDGE_UNREACHABLE' });
    await expect(open(served.url, 'none')).rejects.toMatchObject({ code: 'EDGE_UNREACHABLE' });
  });

  test('a bundle that is gone is not answered from here: its owner has taken it away', async () => {
    const served = await site();
    const cache = storage();
    await open(served.url, cache);
    await kept(cache);
    served.files.delete('/models/tiny/manifest.json');
    await expect(open(served.url, cache)).rejects.toMatchObject({ code: 'MODEL_UNKNOWN' });
  });

  test('a new version whose branch never came leaves the old one to go on with', async () => {
    const served = await site();
    const cache = storage();
    await open(served.url, cache);
    await kept(cache);
    const { branch } = tinyManifest();
    const artifact = { ...branch.artifact, digest: digest(mainBytes) as typeof branch.artifact.digest };
    const next = tinyManifest({ labels: ['x', 'y', 'z'], branch: { ...branch, artifact } });
    served.files.set('/models/tiny/manifest.json', JSON.stringify(next));
    served.files.delete(branchPath);
    await expect(open(served.url, cache)).rejects.toMatchObject({ code: 'ARTIFACT_UNKNOWN' });
    await served.stop();
    expect((await open(served.url, cache)).manifest.labels).toEqual(['a', 'b', 'c']);
  });

  test('what is damaged here is fetched again', async () => {
    const served = await site();
    const cache = storage();
    await open(served.url, cache);
    await kept(cache);
    cache.entries.set(artifactKey, new Response(branchBytes.map((byte, i) => (i === 200 ? byte ^ 1 : byte))));
    expect(await (await open(served.url, cache)).classify(sure)).toMatchObject({ label: 'a' });
    expect(asked(served)).toBe(2);
  });

  test('a store without room is no fault: memory keeps it as long as the page lasts', async () => {
    const served = await site();
    const cache = Object.assign(storage(), { full: true });
    endings.push(() => forget(served.url, { cache }));
    await open(served.url, cache);
    await until(async () => (await versions(served.url, { cache }))[0]?.files.length === 1);
    await served.stop();
    expect(await (await open(served.url, cache)).classify(sure)).toMatchObject({ label: 'a' });
    expect(cache.entries.size).toBe(0);
  });

  test('in a host without Cache Storage memory serves', async () => {
    const served = await site();
    endings.push(() => forget(served.url));
    await open(served.url, 'default');
    await until(async () => (await versions(served.url))[0]?.files.length === 1);
    await open(served.url, 'default');
    expect(asked(served)).toBe(1);
  });
});

describe('a download that breaks off', () => {
  const broken = (count: number) => (response: ServerResponse) => {
    response.writeHead(200, { 'content-length': branchBytes.length, etag: '"one"' });
    response.write(branchBytes.subarray(0, count), () => response.destroy());
  };
  /** Serves `answers` in turn; gives the headers of each request. */
  function script({ files }: Site, answers: ((response: ServerResponse) => void)[]) {
    const seen: { range: unknown; ifRange: unknown }[] = [];
    files.set(branchPath, (response) => {
      const { range, 'if-range': ifRange } = response.req.headers;
      answers[seen.push({ range, ifRange }) - 1]!(response);
    });
    return seen;
  }
  const rest = (from: number) => (response: ServerResponse) =>
    response
      .writeHead(206, { 'content-range': `bytes ${from}-${branchBytes.length - 1}/${branchBytes.length}` })
      .end(branchBytes.subarray(from));

  test('goes on where it was, while the page waits', async () => {
    const served = await site();
    const seen = script(served, [broken(100), rest(100)]);
    const cache = storage();
    expect(await (await open(served.url, cache)).classify(sure)).toMatchObject({ label: 'a' });
    expect(seen).toEqual([
      { range: undefined, ifRange: undefined },
      { range: 'bytes=100-', ifRange: '"one"' },
    ]);
    await kept(cache);
    expect([...cache.entries.keys()].filter((key) => key.includes('parts'))).toEqual([]);
  });

  test.each<[string, (response: ServerResponse) => void]>([
    ['the rest', rest(100)],
    ['all of it', (response) => response.end(branchBytes)],
  ])('goes on in a later visit, whether the server sends %s', async (_, answer) => {
    const served = await site();
    const cut = (response: ServerResponse) => response.destroy();
    const seen = script(served, [broken(100), cut, answer]);
    const cache = storage();
    await expect(open(served.url, cache)).rejects.toMatchObject({ code: 'EDGE_UNREACHABLE' });
    expect(await (await open(served.url, cache)).classify(sure)).toMatchObject({ label: 'a' });
    expect(seen[2]).toEqual({ range: 'bytes=100-', ifRange: '"one"' });
  });

  test('begins anew when what is here is no part of what is there', async () => {
    const served = await site();
    const key = artifactKey.replace('artifacts', 'parts');
    const whole = (response: ServerResponse) => response.end(branchBytes);
    const cache = storage();
    cache.entries.set(key, new Response(new Uint8Array(5000)));
    script(served, [(response) => response.writeHead(416).end(), whole, whole, whole]);
    await open(served.url, cache);
    // Wrong bytes of a possible length are seen in the end only; they do not stay.
    await kept(cache);
    cache.entries.delete(artifactKey);
    cache.entries.set(key, new Response(new Uint8Array(100)));
    await expect(open(served.url, cache)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await until(() => !cache.entries.has(key));
    expect(await (await open(served.url, cache)).classify(sure)).toMatchObject({ label: 'a' });
  });
});

describe('versions', () => {
  test('are listed, the newest first, and deleted without what others share', async () => {
    const served = await site();
    const cache = storage();
    await open(served.url, cache);
    await kept(cache);
    const [first] = await versions(served.url, { cache });
    expect(first).toMatchObject({ name: 'tiny', files: ['branch.safetensors'], bytes: branchBytes.length });
    served.files.set('/models/tiny/manifest.json', JSON.stringify(tinyManifest({ labels: ['x', 'y', 'z'] })));
    await (await open(served.url, cache)).use('device-only');
    await kept(cache, artifactKey.replace(digest(branchBytes), digest(mainBytes)));
    const [second, older] = await versions(served.url, { cache });
    expect(second).toMatchObject({ files: ['branch.safetensors', 'model.onnx'] });
    expect(older!.version).toBe(first!.version);
    expect(older!.met <= second!.met).toBe(true);

    await forget(served.url, { cache, version: older!.version });
    expect((await versions(served.url, { cache })).map(({ version }) => version)).toEqual([second!.version]);
    expect(cache.entries.has(artifactKey)).toBe(true);
    await forget(`${served.url}/elsewhere`, { cache });
    await forget(served.url, { cache });
    expect(cache.entries.size).toBe(0);
  });

  test('what is no manifest of ours in the store is not looked at', async () => {
    const cache = storage();
    cache.entries.set('https://example.com/other', new Response('x'));
    cache.entries.set(
      'https://manifests.tierwise.invalid/1?of=http%3A%2F%2Fa%2Fmanifest.json',
      new Response('{'),
    );
    expect(await versions('http://a', { cache })).toEqual([]);
    await forget('http://a', { cache });
    expect(cache.entries.has('https://example.com/other')).toBe(true);
  });
});

describe('a visitor who wants to save data', () => {
  test('gets the branch; the whole network only when it is here', async () => {
    const served = await site();
    const cache = storage();
    const saving = await open(served.url, cache, { saveData: true });
    expect(await saving.classify(sure)).toMatchObject({ label: 'a' });
    await expect(saving.use('device-only')).rejects.toMatchObject({
      code: 'PLAN_INVALID',
      message: expect.stringContaining('save data'),
    });
    expect(served.paths).not.toContain('/models/tiny/model.onnx');
    await (await open(served.url, cache)).use('device-only');
    await kept(cache, artifactKey.replace(digest(branchBytes), digest(mainBytes)));
    await saving.use('device-only');
    expect(saving.plan.strategy).toBe('device-only');
  });
});
