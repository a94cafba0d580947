import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { type ErrorCode, isTierwiseError, remedies } from '@tierwise/core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { DownloadProgress } from './download.ts';
import { idxFileNames, type KnownDataset, knownDatasets } from './known.ts';
import { loadDataset, loadKnown } from './load.ts';

const data = process.env['TIERWISE_DATA'];
const code = (expected: ErrorCode, what = /./) =>
  expect.toSatisfy(
    (error: unknown) =>
      isTierwiseError(error, expected) && what.test(error.message) && remedies[error.code] !== '',
  );

/** Five pictures of 1 x 2 pixels, five labels, and the same again for testing. */
const images = gzipSync(
  Uint8Array.of(0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
);
const labels = gzipSync(Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 5, 0, 1, 2, 1, 0));
const contents = [images, labels, images, labels];

let home = '';
let server: Server | undefined;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tierwise-data-'));
  vi.stubEnv('XDG_CACHE_HOME', home);
  vi.stubEnv('TIERWISE_DATA', '');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  server?.closeAllConnections();
  await new Promise((done) => (server ? server.close(done) : done(undefined)));
  server = undefined;
  await rm(home, { recursive: true });
});

async function publish(listener: RequestListener): Promise<KnownDataset> {
  const started = createServer(listener);
  server = started;
  await new Promise<void>((done) => started.listen(0, '127.0.0.1', done));
  return dataset(`http://127.0.0.1:${(started.address() as AddressInfo).port}/`);
}

function dataset(url: string): KnownDataset {
  const file = (i: 0 | 1 | 2 | 3) => ({
    name: idxFileNames[i],
    bytes: contents[i]!.length,
    sha256: createHash('sha256').update(contents[i]!).digest('hex'),
  });
  return { name: 'tiny', classes: ['a', 'b', 'c'], url, files: [file(0), file(1), file(2), file(3)] };
}

const serve: RequestListener = (request, response) => {
  const index = idxFileNames.indexOf(request.url!.slice(1) as (typeof idxFileNames)[number]);
  response.end(contents[index]);
};

const cached = () => readdir(join(home, 'tierwise', 'tiny')).catch(() => []);

test('files are downloaded, checked, cached, and then not asked for again', async () => {
  let requests = 0;
  const known = await publish((request, response) => {
    requests++;
    serve(request, response);
  });
  const progress: DownloadProgress[] = [];
  const { train, test } = await loadKnown(known, { onProgress: (p) => progress.push(p) });
  expect(train).toMatchObject({ name: 'tiny', classes: ['a', 'b', 'c'], samples: 5, height: 1, width: 2 });
  expect([...test.labels]).toEqual([0, 1, 2, 1, 0]);
  expect((await cached()).sort()).toEqual([...idxFileNames].sort());
  for (const { name, bytes } of known.files) {
    const last = progress.filter((p) => p.file === name).at(-1);
    expect(last).toEqual({ file: name, receivedBytes: bytes, totalBytes: bytes });
  }
  expect(requests).toBe(4);
  expect(await loadKnown(known)).toEqual({ train, test, warnings: [] });
  expect(requests).toBe(4);
});

test('TIERWISE_DATA comes before the cache, packed or plain', async () => {
  const folder = join(home, 'given', 'tiny');
  await mkdir(folder, { recursive: true });
  for (const [i, name] of idxFileNames.entries()) {
    if (i < 2) await writeFile(join(folder, name), contents[i]!);
    else await writeFile(join(folder, name.replace('.gz', '')), gunzipSync(contents[i]!));
  }
  vi.stubEnv('TIERWISE_DATA', join(home, 'given'));
  const { test } = await loadKnown(dataset('http://127.0.0.1:1/'));
  expect(test.samples).toBe(5);
});

test('a folder of IDX files is a data set; what it lacks is named', async () => {
  for (const [i, name] of idxFileNames.entries()) await writeFile(join(home, name), contents[i]!);
  const { train } = await loadDataset(home);
  expect(train).toMatchObject({ name: home, classes: ['0', '1', '2'], samples: 5 });
  await rm(join(home, idxFileNames[3]));
  await expect(loadDataset(home)).rejects.toThrow(code('DATA_MISSING', /no t10k-labels-idx1-ubyte.gz/));
  await writeFile(join(home, idxFileNames[3]), labels.subarray(0, 15));
  await expect(loadDataset(home)).rejects.toThrow(code('DATA_CORRUPT', /t10k-labels-idx1-ubyte.gz: /));
  await rm(join(home, idxFileNames[3]));
  await mkdir(join(home, idxFileNames[3]));
  await expect(loadDataset(home)).rejects.toThrow(code('FILE_UNREADABLE', /t10k-labels.*EISDIR/));
});

test('an unknown name is told which names there are', async () => {
  await expect(loadDataset('no-such-data')).rejects.toThrow(
    code('DATA_MISSING', /"no-such-data" is neither a folder nor .*\(mnist, fashion-mnist, cifar-10\)/),
  );
});

test('a publisher that cannot be reached, or refuses, gives DATA_MISSING', async () => {
  await expect(loadKnown(dataset('http://127.0.0.1:1/'))).rejects.toThrow(
    code(
      'DATA_MISSING',
      /^train-images-idx3-ubyte.gz is not on this machine and cannot be downloaded from http/,
    ),
  );
  const known = await publish((_, response) => response.writeHead(403).end('no'));
  await expect(loadKnown(known)).rejects.toThrow(code('DATA_MISSING', /the server answers 403 Forbidden/));
  expect(await cached()).toEqual([]);
});

test.each<[string, Uint8Array]>([
  ['other bytes', Buffer.from(images).fill(7, 12, 13)],
  ['too few bytes', images.subarray(0, 30)],
  ['too many bytes', Buffer.concat([images, images])],
])('%s from the publisher give DATA_CORRUPT and leave nothing behind', async (_, bytes) => {
  const known = await publish((_request, response) => response.end(bytes));
  await expect(loadKnown(known)).rejects.toThrow(code('DATA_CORRUPT', /^http:.*not the publisher's file/));
  expect(await cached()).toEqual([]);
});

test('a connection that breaks off gives DATA_MISSING', async () => {
  const known = await publish((_, response) => {
    response.writeHead(200, { 'content-length': images.length });
    response.write(images.subarray(0, 10), () => response.destroy());
  });
  await expect(loadKnown(known)).rejects.toThrow(code('DATA_MISSING'));
  expect(await cached()).toEqual([]);
});

test('a cancelled download gives CANCELLED and leaves nothing behind', async () => {
  const known = await publish((_, response) => {
    response.write(images.subarray(0, 10));
  });
  const controller = new AbortController();
  const loading = loadKnown(known, { signal: controller.signal, onProgress: () => controller.abort() });
  await expect(loading).rejects.toThrow(code('CANCELLED'));
  expect(await cached()).toEqual([]);
  await expect(loadKnown(known, { signal: AbortSignal.abort() })).rejects.toThrow(code('CANCELLED'));
});

test('a cache that cannot be written is named', async () => {
  await writeFile(join(home, 'tierwise'), 'a file where a folder should be');
  const known = await publish(serve);
  await expect(loadKnown(known)).rejects.toThrow(code('FILE_UNREADABLE', /tierwise.*cannot be written/));
});

test.skipIf(!data)("the table of publishers' files has the digests of the real ones", async () => {
  for (const known of knownDatasets) {
    for (const { name, bytes, sha256 } of known.files) {
      const file = await readFile(join(data!, known.name, name));
      expect([name, file.length, createHash('sha256').update(file).digest('hex')]).toEqual([
        name,
        bytes,
        sha256,
      ]);
    }
  }
});

const counts = (values: ArrayLike<number> & Iterable<number>) => {
  const count = new Array<number>(10).fill(0);
  for (const value of values) count[value]!++;
  return count;
};

test.skipIf(!data)('mnist is the whole of it', async () => {
  vi.stubEnv('TIERWISE_DATA', data);
  const { train, test } = await loadDataset('mnist');
  expect(train).toMatchObject({ name: 'mnist', channels: 1, height: 28, width: 28, samples: 60000 });
  expect(test.samples).toBe(10000);
  expect(counts(train.labels)).toEqual([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
  expect(counts(test.labels)).toEqual([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
  expect(train.images).toHaveLength(60000 * 28 * 28);
  expect(train.images.reduce((a, b) => a + b, 0) / train.images.length).toBeCloseTo(0.1307 * 255, 1);
});

test.skipIf(!data)('fashion-mnist is the whole of it', async () => {
  vi.stubEnv('TIERWISE_DATA', data);
  const { train, test } = await loadDataset('fashion-mnist');
  expect(train.classes[9]).toBe('Ankle boot');
  expect(counts(train.labels)).toEqual(new Array(10).fill(6000));
  expect(counts(test.labels)).toEqual(new Array(10).fill(1000));
  expect(train.images.reduce((a, b) => a + b, 0) / train.images.length).toBeCloseTo(0.286 * 255, 0);
});
