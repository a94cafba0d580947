import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256Hex } from '@tierwise/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createEdge, type Edge } from '../src/index.ts';
import { modelsFolder } from './tiny-bundle.ts';

let models: Awaited<ReturnType<typeof modelsFolder>>;
let edge: Edge | undefined;
const lines: string[] = [];
const logger = { stream: { write: (line: string) => void lines.push(line) } };

beforeEach(async () => {
  lines.length = 0;
  models = await modelsFolder();
});
afterEach(async () => {
  await edge?.close();
  edge = undefined;
  await models.dispose();
});

/** Changes `manifest.json` of a bundle. */
async function editManifest(
  folder: string,
  edit: (manifest: Record<string, never>) => unknown,
): Promise<void> {
  const path = join(folder, 'manifest.json');
  await writeFile(path, JSON.stringify(edit(JSON.parse(await readFile(path, 'utf8')))));
}

/** Replaces the network by other bytes and makes the manifest agree. */
async function replaceNetwork(folder: string, bytes: Uint8Array): Promise<void> {
  await writeFile(join(folder, 'model.onnx'), bytes);
  const digest = await sha256Hex(bytes);
  await editManifest(folder, (manifest: { main?: { artifact: object } }) => ({
    ...manifest,
    main: { ...manifest.main, artifact: { ...manifest.main!.artifact, digest, bytes: bytes.length } },
  }));
}

const faults: [string, (folder: string) => Promise<unknown>, string, RegExp][] = [
  [
    'no manifest',
    async (folder) => mkdir(`${folder}/../empty.tierwise`),
    'FILE_UNREADABLE',
    /empty.*manifest\.json.*ENOENT/,
  ],
  [
    'a file in place of the folder',
    async (folder) => writeFile(`${folder}/../file.tierwise`, 'x'),
    'FILE_UNREADABLE',
    /file\.tierwise.*ENOTDIR, a bundle is a folder/,
  ],
  [
    'a manifest that is not JSON',
    (folder) => writeFile(join(folder, 'manifest.json'), '{'),
    'MANIFEST_INVALID',
    /bad\.tierwise\/manifest\.json is not JSON/,
  ],
  [
    'a manifest of another format',
    (folder) => editManifest(folder, (m) => ({ ...m, format: 'x/9' })),
    'MANIFEST_INVALID',
    /format/,
  ],
  [
    'a truncated file',
    (folder) => truncate(join(folder, 'model.onnx'), 50),
    'DIGEST_MISMATCH',
    /bad\.tierwise\/model\.onnx: 50 bytes/,
  ],
  [
    'a changed branch',
    (folder) => writeFile(join(folder, 'branch.safetensors'), 'x'),
    'DIGEST_MISMATCH',
    /branch\.safetensors/,
  ],
  [
    'a file that climbs out',
    (folder) =>
      editManifest(folder, (m: { main?: { artifact: object } }) => ({
        ...m,
        main: { ...m.main, artifact: { ...m.main!.artifact, file: '../../x' } },
      })),
    'MANIFEST_INVALID',
    /file/,
  ],
  [
    'a network that is none',
    (folder) => replaceNetwork(folder, new Uint8Array(40).fill(7)),
    'MODEL_CORRUPT',
    /ONNX/,
  ],
  [
    'a network without the stem',
    (folder) =>
      editManifest(folder, (m: { stem?: object }) => ({ ...m, stem: { ...m.stem, tensor: 'no_such' } })),
    'PLAN_INVALID',
    /no_such/,
  ],
];

describe('a broken bundle', () => {
  it.each(faults)('%s: is refused in one line, the others are served', async (_, damage, code, message) => {
    await models.add();
    await damage(await models.add({ name: 'bad' }));
    edge = await createEdge({ models: models.path, port: 0, logger });
    expect(edge.models.slice(-2)).toEqual(['tiny', 'tiny.rest']);
    expect(edge.refused).toHaveLength(1);
    expect(edge.refused[0]!.error.code).toBe(code);
    expect(edge.refused[0]!.error.message).toMatch(message);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({
      level: 40,
      code,
      msg: expect.stringMatching(/\.tierwise is not served: /),
    });

    const ready = await fetch(`${edge.url}/v2/health/ready`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toMatchObject({ ready: true, refused: [{ code }] });
    const index = (await (await fetch(`${edge.url}/v2/repository/index`)).json()) as {
      state: string;
      reason: string;
    }[];
    expect(index.filter(({ state }) => state === 'UNAVAILABLE')).toMatchObject([
      { reason: edge.refused[0]!.error.message },
    ]);
    expect(await (await fetch(`${edge.url}/metrics`)).text()).toMatch(
      /^tierwise_models\{state="refused"\} 1$/m,
    );
  });

  it('is one whose model has a name that is taken', async () => {
    await models.add();
    await models.add({}, 'zwei.tierwise');
    edge = await createEdge({ models: models.path, port: 0, logger });
    expect(edge.refused).toMatchObject([{ folder: 'zwei', error: { code: 'MANIFEST_INVALID' } }]);
    expect(edge.refused[0]!.error.message).toMatch(/tiny is taken by tiny\.tierwise/);
  });
});

describe('starting', () => {
  it('serves what it has read, whatever happens on disk', async () => {
    const folder = await models.add();
    edge = await createEdge({ models: models.path, port: 0, logger });
    await writeFile(join(folder, 'branch.safetensors'), 'changed');
    const bytes = new Uint8Array(
      await (await fetch(`${edge.url}/models/tiny/branch.safetensors`)).arrayBuffer(),
    );
    const manifest = (await (await fetch(`${edge.url}/models/tiny/manifest.json`)).json()) as {
      branch: { artifact: { digest: string } };
    };
    expect(await sha256Hex(bytes)).toBe(manifest.branch.artifact.digest);
  });

  it('goes on without a model, but is not ready', async () => {
    edge = await createEdge({ models: models.path, port: 0, logger });
    expect((await fetch(`${edge.url}/v2/health/ready`)).status).toBe(503);
    expect((await fetch(`${edge.url}/v2/health/live`)).status).toBe(200);
  });

  it('fails in one sentence without a models folder, or on a port that is taken', async () => {
    const missing = createEdge({ models: join(models.path, 'nope'), port: 0 });
    await expect(missing).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringMatching(/nope/),
    });
    await models.add();
    edge = await createEdge({ models: models.path, port: 0 });
    const taken = createEdge({ models: models.path, port: edge.port });
    await expect(taken).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(/another program/),
    });
  });

  it('listens on loopback only, unless told otherwise', async () => {
    edge = await createEdge({ models: models.path, port: 0, logger });
    expect(edge.url).toBe(`http://127.0.0.1:${edge.port}`);
  });
});
