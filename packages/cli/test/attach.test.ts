/** `tierwise attach` as a user starts it, on a network and pictures that are made here. */
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sha256Hex } from '@tierwise/core';
import { readOnnx, writeOnnx } from '@tierwise/graph';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { squaresNetwork } from '../../train/test/squares.ts';
import { tinyData } from '../../train/test/tiny-data.ts';

const bin = fileURLToPath(new URL('../bin/tierwise.js', import.meta.url));
/** What the network's outputs are called; folders are in another order, that of their names. */
const classes = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];
let folder = '';

function tierwise(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args, '--json'], {
    cwd: folder,
    encoding: 'utf8',
  });
  return { status, stderr, value: JSON.parse(stdout) as Record<string, unknown> };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tierwise-cli-attach-'));
  await writeFile(join(folder, 'squares.onnx'), squaresNetwork({ layout: 'nhwc', softmax: true }));
  await writeFile(join(folder, 'classes.txt'), `${classes.join('\n')}\n`);
  const { images, labels, samples } = tinyData(150, 3);
  for (let n = 0; n < samples; n++) {
    const place = join(folder, 'photos', classes[labels[n]!]!);
    await mkdir(place, { recursive: true });
    const raw = { width: 28, height: 28, channels: 1 } as const;
    // Every other picture is twice as large: all are resized to what the network takes.
    const picture = sharp(Buffer.from(images.subarray(n * 784, (n + 1) * 784)), { raw });
    await (n % 2 ? picture : picture.resize(56, 56, { kernel: 'nearest' }))
      .png()
      .toFile(join(place, `${n}.png`));
  }
});
afterAll(() => rm(folder, { recursive: true }));

test('the order of the classes is asked for, then a bundle is made that eval, inspect and run take', async () => {
  const attach = ['attach', 'squares.onnx', '--data', 'photos', '-o', 'mine.tierwise', '--epochs', '2'];
  const wrong = tierwise(...attach);
  expect(wrong).toMatchObject({
    status: 2,
    value: { code: 'USAGE', error: expect.stringMatching(/--classes/) },
  });

  const design = ['--branch-width', '16', '--branch-depth', '2', '--branch-stride', '2'];
  const small = [...attach, '--classes', 'classes.txt', ...design, '--views', '1', '--progressive'];
  const out = tierwise(...small, '--export-step', 'step');
  expect(out.value, out.stderr).toMatchObject({ phase: 'branch-real', step: 0 });
  expect(await readdir(join(folder, 'step'))).toEqual(['backbone.onnx', 'plan.json', 'step.onnx']);
  const made = tierwise(...small, '--resume');
  expect(made.status, made.stderr).toBe(0);
  expect(made.value).toMatchObject({ main: { accuracy: 1 }, branch: { accuracy: expect.any(Number) } });

  const { value: measured } = tierwise('eval', 'mine.tierwise', '--data', 'photos');
  expect(measured).toMatchObject({ main: made.value['main'], composite: made.value['composite'] });

  const { value: shown } = tierwise('inspect', 'mine.tierwise');
  expect(shown).toMatchObject({
    manifest: {
      labels: classes,
      preprocess: { scale: expect.any(Number), height: 28, width: 28, channels: 1 },
      stem: { tensor: 'pooled' },
      provenance: {
        backbone: { file: 'squares.onnx', notes: expect.arrayContaining([expect.stringMatching(/NHWC/)]) },
      },
    },
  });
  const [picture] = (await readdir(join(folder, 'photos', 'seven'))).map((name) =>
    join('photos', 'seven', name),
  );
  const { value: run } = tierwise('run', 'mine.tierwise', picture!, '--strategy', 'device-only');
  expect(run).toMatchObject({ answers: [{ label: 'seven' }] });
});

test('--joint trains the network, too, and says what it got before; --freeze does not', async () => {
  const attach = (...more: string[]) => [
    ...['attach', 'squares.onnx', '--data', 'photos', '-o', 'joint.tierwise', '--classes', 'classes.txt'],
    ...['--epochs', '1', '--branch-width', '8', '--branch-depth', '1', ...more],
  ];
  const made = tierwise(...attach('--joint'));
  expect(made.status, made.stderr).toBe(0);
  const heads = { main: expect.any(Number), branch: expect.any(Number) };
  expect(made.value).toMatchObject({ history: [{ phase: 'joint', accuracies: heads }] });
  const { value: measured } = tierwise('eval', 'joint.tierwise', '--data', 'photos');
  expect(measured).toMatchObject({ main: made.value['main'], branch: made.value['branch'] });
  const notes = expect.arrayContaining([
    expect.stringMatching(/before this training .* 100.00 % of the \d+ test/),
  ]);
  const { value: shown } = tierwise('inspect', 'joint.tierwise');
  expect(shown).toMatchObject({
    manifest: { provenance: { settings: { phases: [{ kind: 'joint' }] }, backbone: { notes } } },
  });
  const frozen = tierwise(...attach('--freeze'));
  expect(frozen.value).toMatchObject({ main: { accuracy: 1 }, history: [{ phase: 'branch' }] });

  const both = [bin, ...attach('--joint', '--freeze')];
  const { status, stderr } = spawnSync(process.execPath, both, { cwd: folder, encoding: 'utf8' });
  expect(status).toBe(2);
  expect(stderr).toMatch(/'--joint' cannot be used with option '--freeze'/);
});

test('weights in a file beside the model are read with it; without that file it is named', async () => {
  const model = readOnnx(squaresNetwork());
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const proto of model.graph!.initializer) {
    const { length } = proto.rawData;
    const place = { location: 'beside.onnx.data', offset: String(offset), length: String(length) };
    proto.externalData = Object.entries(place).map(([key, value]) => ({
      $typeName: 'onnx.StringStringEntryProto',
      key,
      value,
    }));
    parts.push(proto.rawData);
    proto.rawData = new Uint8Array(0);
    offset += length;
  }
  await writeFile(join(folder, 'beside.onnx'), writeOnnx(model));
  await writeFile(join(folder, 'inside.onnx'), squaresNetwork());
  const missing = tierwise('inspect', 'beside.onnx');
  expect(missing.value).toMatchObject({
    code: 'FILE_UNREADABLE',
    error: expect.stringContaining('beside.onnx.data cannot be read, where beside.onnx has its weights'),
  });
  await writeFile(join(folder, 'beside.onnx.data'), Buffer.concat(parts));
  const of = (file: string) => tierwise('inspect', file).value;
  expect(of('beside.onnx')).toEqual({ ...of('inside.onnx'), file: 'beside.onnx', bytes: expect.any(Number) });

  const small = ['--branch-width', '16', '--branch-depth', '2', '--epochs', '1', '--classes', 'classes.txt'];
  const made = tierwise('attach', 'beside.onnx', '--data', 'photos', '-o', 'beside.tierwise', ...small);
  expect(made.status, made.stderr).toBe(0);
  const digest = await sha256Hex(Buffer.concat(parts));
  const backbone = { file: 'beside.onnx', weights: [{ file: 'beside.onnx.data', digest }] };
  expect(of('beside.tierwise')).toMatchObject({ manifest: { provenance: { backbone } } });
});

test.each([
  [['squares.onnx', '--mean', '0.1,0.2'], /--mean has 2 values for 1 channels/],
  [['squares.onnx', '--at', 'nowhere'], /no such node or tensor; a branch can leave after/],
  [['squares.onnx', '--size', '30x30'], /takes pictures of 28x28/],
  [['classes.txt'], /classes.txt is not an ONNX file/],
  [['squares.onnx', '--classes', 'classes.txt', '--joint', '--teacher', 'int8'], /no network teaches here/],
  [
    ['squares.onnx', '--classes', 'classes.txt', '--joint', '--views', '2'],
    /--views 2: no network teaches here/,
  ],
  [
    ['squares.onnx', '--classes', 'classes.txt', '--recipe', 'xnor', '--branch-depthwise'],
    /--branch-depthwise is for --recipe modern, not xnor/,
  ],
  [['squares.onnx', '--classes', 'classes.txt', '--joint', '--progressive'], /--progressive is for --freeze/],
  [['squares.onnx', '--classes', 'squares.onnx'], /the network tells 10 classes apart, squares.onnx lists/],
])('attach %j says what is wrong and writes nothing', async (args, message) => {
  const { status, value } = tierwise('attach', ...args, '--data', 'photos', '-o', 'not.tierwise');
  expect(status).not.toBe(0);
  expect(value['error']).toMatch(message);
  expect(await readdir(folder)).not.toContain('not.tierwise');
});
