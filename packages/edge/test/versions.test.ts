import { readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tensor } from '@tierwise/core';
import type { Manifest } from '@tierwise/plan';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createEdge, type Edge, type EdgeOptions } from '../src/index.ts';
import { openStream, request, type StreamClient } from './client.ts';
import { dims, expectedScores, expectedStem, modelsFolder, picture, tinyBundle } from './tiny-bundle.ts';

let models: Awaited<ReturnType<typeof modelsFolder>>;
let edge: Edge;
beforeEach(async () => {
  models = await modelsFolder();
  await models.add({ seed: 1 });
});
afterEach(async () => {
  await edge.close();
  await models.dispose();
});

async function start(options: Partial<EdgeOptions> = {}): Promise<void> {
  edge = await createEdge({ models: models.path, port: 0, logger: { level: 'silent' }, ...options });
}

const digest8 = async (seed: number) =>
  (await tinyBundle({ seed })).manifest.main.artifact.digest.slice(0, 8);
const getManifest = async (): Promise<Manifest> =>
  (await (await fetch(`${edge.url}/models/tiny/manifest.json`)).json()) as Manifest;

/** What a page with the model of `seed` sends for a picture that its branch is unsure of. */
async function unsure(seed: number, id = '') {
  const stem = tensor('float32', dims.stem, Float32Array.from(expectedStem(picture(), seed)));
  const parameters = { plan: `lcdnn:tiny:${await digest8(seed)}`, section: 'rest' };
  return request({ stem }, { modelName: 'tiny.rest', id, parameters });
}

async function expectAnswered(client: StreamClient, seed: number): Promise<void> {
  client.send(await unsure(seed));
  const reply = await client.next();
  if (reply.kind !== 'response') throw new Error(reply.error);
  const scores = [...(reply.outputs.get('scores')!.data as Float32Array)];
  for (const [i, value] of expectedScores(picture(), seed).entries()) expect(scores[i]).toBeCloseTo(value, 2);
}

describe('a new version', () => {
  it('takes the place of the old one, whose pages are still answered, also after a restart', async () => {
    await start();
    const old = await getManifest();
    await models.add({ seed: 2 });
    await edge.reload();
    for (const _ of ['before', 'after a restart']) {
      const client = await openStream(edge.url);
      const now = await getManifest();
      expect(now.main.artifact.digest).toBe((await tinyBundle({ seed: 2 })).manifest.main.artifact.digest);
      await expectAnswered(client, 1);
      await expectAnswered(client, 2);
      for (const { digest, bytes } of [old.branch.artifact, old.main.artifact, now.branch.artifact]) {
        const response = await fetch(`${edge.url}/artifacts/${digest}`);
        expect((await response.arrayBuffer()).byteLength).toBe(bytes);
      }
      expect(await (await fetch(`${edge.url}/v2/models/tiny`)).json()).toMatchObject({
        versions: [await digest8(2), await digest8(1)],
      });
      expect(edge.models).toEqual(['tiny', 'tiny.rest']);
      await client.close();
      await edge.close();
      await start();
    }
  });

  it('is found without being told', async () => {
    await start();
    await models.add({ seed: 2 });
    const wanted = await digest8(2);
    while (!(await getManifest()).main.artifact.digest.startsWith(wanted));
  });

  it('answers under its number over HTTP, the old one, too', async () => {
    await start();
    await models.add({ seed: 2 });
    await edge.reload();
    const body = JSON.stringify({
      inputs: [{ name: 'pixels', shape: dims.input, datatype: 'FP32', data: [...picture()] }],
    });
    for (const seed of [1, 2]) {
      const address = `${edge.url}/v2/models/tiny/versions/${await digest8(seed)}/infer`;
      const response = await fetch(address, { method: 'POST', body });
      const { outputs } = (await response.json()) as { outputs: { data: number[] }[] };
      expect(outputs[0]!.data[0]).toBeCloseTo(expectedScores(picture(), seed)[0]!, 2);
    }
  });

  it('that is broken, or only half there, leaves the old one in its place', async () => {
    await start();
    const folder = await models.add({ seed: 2 });
    await writeFile(join(folder, 'model.onnx'), 'half');
    await edge.reload();
    expect(edge.refused).toMatchObject([{ folder: 'tiny', error: { code: 'DIGEST_MISMATCH' } }]);
    expect((await getManifest()).main.artifact.digest.slice(0, 8)).toBe(await digest8(1));
    await models.add({ seed: 2 });
    await edge.reload();
    expect(edge.refused).toEqual([]);
    expect((await getManifest()).main.artifact.digest.slice(0, 8)).toBe(await digest8(2));
  });

  it('rolls out and back under load without a failed request', async () => {
    await start({ workers: 2 });
    const outcomes = new Map<string, number>();
    let rolling = true;
    const load = async (seed: number): Promise<void> => {
      const client = await openStream(edge.url);
      const message = await unsure(seed);
      while (rolling) {
        client.send(message);
        const reply = await client.next();
        const outcome = reply.kind === 'failure' ? reply.error : 'ok';
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        // A page that has just arrived fetches what the manifest names.
        const { branch } = await getManifest();
        const { status } = await fetch(`${edge.url}/artifacts/${branch.artifact.digest}`);
        outcomes.set(String(status), (outcomes.get(String(status)) ?? 0) + 1);
      }
      await client.close();
    };
    const pages = [load(1), load(1), load(1)];
    for (const seed of [2, 1, 3, 2, 1]) {
      await models.add({ seed });
      await edge.reload();
      if (seed === 2) pages.push(load(2));
    }
    rolling = false;
    await Promise.all(pages);
    expect([...outcomes.keys()].sort()).toEqual(['200', 'ok']);
    expect(outcomes.get('ok')).toBeGreaterThan(20);
    expect((await getManifest()).main.artifact.digest.slice(0, 8)).toBe(await digest8(1));
  });
});

describe('an old version', () => {
  const expectGone = async (seed: number): Promise<void> => {
    const client = await openStream(edge.url);
    client.send(await unsure(seed, 'late'));
    expect(await client.next()).toMatchObject({
      kind: 'failure',
      id: 'late',
      code: 'ARTIFACT_UNKNOWN',
      error: expect.stringMatching(/replaced model tiny\.rest .*: load the model again/),
    });
    await client.close();
  };

  it('is forgotten after its time, from disk too', async () => {
    await start({ keepDays: 2 });
    await models.add({ seed: 2 });
    await edge.reload();
    await edge.close();
    const kept = join(models.path, '.kept');
    const bundles = async () => (await readdir(kept)).filter((name) => name.endsWith('.tierwise')).sort();
    expect(await bundles()).toHaveLength(2);
    const long = new Date(Date.now() - 3 * 86_400_000);
    for (const name of await bundles()) await utimes(join(kept, name, 'manifest.json'), long, long);
    await start({ keepDays: 2 });
    await expectGone(1);
    expect(await bundles()).toHaveLength(1);
    const client = await openStream(edge.url);
    await expectAnswered(client, 2);
    await client.close();
  });

  it('is not kept when nobody wants it to be', async () => {
    await start({ keepDays: 0 });
    await models.add({ seed: 2 });
    await edge.reload();
    await expectGone(1);
    expect(await readdir(models.path)).toEqual(['tiny.tierwise']);
  });

  it('is answered for after its bundle was taken away', async () => {
    await start();
    await rm(join(models.path, 'tiny.tierwise'), { recursive: true });
    await edge.reload();
    expect(edge.models).toEqual([]);
    const client = await openStream(edge.url);
    await expectAnswered(client, 1);
    await client.close();
    expect((await fetch(`${edge.url}/models/tiny/manifest.json`)).status).toBe(404);
    const body = '{"inputs": []}';
    const unnamed = await fetch(`${edge.url}/v2/models/tiny/infer`, { method: 'POST', body });
    expect([unnamed.status, await unnamed.json()]).toMatchObject([404, { code: 'MODEL_UNKNOWN' }]);
  });
});

it('serves on when the folder cannot be read for a while', async () => {
  await start();
  const away = `${models.path}-away`;
  await rename(models.path, away);
  await expect(edge.reload()).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  const client = await openStream(edge.url);
  await expectAnswered(client, 1);
  await client.close();
  await rename(away, models.path);
  await edge.reload();
});

it('keeps old versions in memory where it cannot write', async () => {
  await writeFile(join(models.path, '.kept'), 'a file where a folder should be');
  const lines: string[] = [];
  await start({ logger: { stream: { write: (line) => lines.push(line) } } });
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/tiny\.tierwise will be kept in memory only/);
  await models.add({ seed: 2 });
  await edge.reload();
  const client = await openStream(edge.url);
  await expectAnswered(client, 1);
  await expectAnswered(client, 2);
  await client.close();
});
