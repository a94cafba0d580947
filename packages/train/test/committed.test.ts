/**
 * The composites in `models/`: a branch file is what its graph compiles to, and the engine agrees with onnxruntime
 * on the graph: stems and integer sums bit for bit, scores within 1e-4, exits over the whole test set.
 */
import { readFile } from 'node:fs/promises';
import { binaryEngine, readProgram, runReference } from '@tierwise/binary';
import { compileBranch } from '@tierwise/binary/compile';
import { normalizedEntropy, sha256Hex, softmax, type Tensor, tensor } from '@tierwise/core';
import { type Dataset, loadDataset } from '@tierwise/data';
import { extract, type ModelProto, readOnnx, writeOnnx } from '@tierwise/graph';
import { openSession } from '@tierwise/ort';
import { type Manifest, parseManifest } from '@tierwise/plan';
import { beforeAll, describe, expect, test } from 'vitest';

/** Outputs of the nodes that multiply +-1 by +-1: those with weights cast from int8. */
function sumTensors(graph: NonNullable<ModelProto['graph']>): string[] {
  const casts = new Set(graph.node.filter((node) => node.opType === 'Cast').map((node) => node.output[0]!));
  return graph.node.filter((node) => casts.has(node.input[1]!)).map((node) => node.output[0]!);
}

const pixels = (data: Dataset, from: number, to: number): Tensor<'float32'> =>
  tensor('float32', [to - from, 1, 28, 28], Float32Array.from(data.images.subarray(from * 784, to * 784)));

/** What each must reach, as measured when it was made: shares of the test set, and bytes of the branch. */
const promised = [
  { name: 'lenet-mnist', data: 'mnist', main: 0.993, branch: 0.988, exits: 0.95, mostBytes: 67_500 },
  { name: 'lenet-mnist-small', data: 'mnist', main: 0.993, branch: 0.988, exits: 0.95, mostBytes: 20_000 },
  { name: 'lenet-fashion', data: 'fashion-mnist', main: 0.91, branch: 0.89, exits: 0.65, mostBytes: 67_500 },
];

describe.each(promised)('$name', ({ name, data: dataName, mostBytes, ...least }) => {
  const folder = new URL(`../../../models/${name}.tierwise/`, import.meta.url);
  const file = (name: string) => readFile(new URL(name, folder));

  let manifest: Manifest;
  let model: ModelProto;
  let branch: Uint8Array;
  beforeAll(async () => {
    manifest = parseManifest(JSON.parse((await file('manifest.json')).toString()));
    model = readOnnx(await file('model.onnx'));
    branch = await file('branch.safetensors');
  });

  test('the manifest names the files that are there, and the branch is what the graph compiles to', async () => {
    for (const { artifact } of [manifest.branch, manifest.main]) {
      const bytes = await file(artifact.file);
      expect({ digest: await sha256Hex(bytes), bytes: bytes.length }).toEqual({
        digest: artifact.digest,
        bytes: artifact.bytes,
      });
    }
    const compiled = compileBranch(model, {
      input: manifest.input.tensor,
      outputs: [manifest.stem.tensor, manifest.branch.scores.tensor],
      halfPrecisionEnds: true,
    });
    expect(Buffer.from(compiled).equals(branch)).toBe(true);
    expect(manifest.branch.artifact.bytes).toBeLessThanOrEqual(mostBytes);
    const { mainAccuracy, branchAccuracy, compositeAccuracy, exitRate } = manifest.measured!;
    expect(mainAccuracy).toBeGreaterThanOrEqual(least.main);
    expect(branchAccuracy).toBeGreaterThanOrEqual(least.branch);
    expect(compositeAccuracy).toBeGreaterThanOrEqual(mainAccuracy - 0.0015);
    expect(exitRate).toBeGreaterThanOrEqual(least.exits);
  });

  describe.skipIf(!process.env['TIERWISE_DATA'])('on the test set', () => {
    let data: Dataset;
    beforeAll(async () => {
      data = (await loadDataset(dataName)).test;
    });

    test("the reference's integer sums equal the graph's bit for bit", async () => {
      const sums = sumTensors(model.graph!);
      expect(sums.length).toBe(2);
      const session = await openSession(writeOnnx(extract(model, { inputs: ['pixels'], outputs: sums })), {
        optimization: 'disabled',
      });
      const loaded = readProgram(branch);
      const values = loaded.program.ops
        .filter((op) => op.kind === 'convBinary' || op.kind === 'denseBinary')
        .map((op) => op.output);
      for (let i = 0; i < 100; i++) {
        const input = pixels(data, i, i + 1);
        const expected = await session.run(new Map([['pixels', input]]));
        const found = runReference(loaded, input.data);
        for (const [k, value] of values.entries())
          expect(Array.from(found[value]!)).toEqual(Array.from(expected.get(sums[k]!)!.data as Float32Array));
      }
      await session.dispose();
    });

    test("stems, scores and exits of the engine equal onnxruntime's over all 10,000 samples", async () => {
      const names = { stem: manifest.stem.tensor, scores: manifest.branch.scores.tensor };
      const session = await openSession(
        writeOnnx(extract(model, { inputs: ['pixels'], outputs: [names.stem, names.scores] })),
        { threads: 2 },
      );
      const section = await binaryEngine().load(branch, {
        id: 'branch',
        place: 'device',
        engine: 'binary',
        artifact: manifest.branch.artifact.digest,
        model: 'branch',
        inputs: [manifest.input],
        outputs: [manifest.stem, manifest.branch.scores],
      });
      const { exit } = manifest;
      if (exit.kind !== 'entropy') throw new Error('the committed composite exits by entropy');
      let [exits, furthest, unequalStems, unequalExits] = [0, 0, 0, 0];
      for (let from = 0; from < data.samples; from += 200) {
        const input = new Map([['pixels', pixels(data, from, from + 200)]]);
        const [graph, engine] = [await session.run(input), await section.run(input)];
        const at = (outputs: Map<string, Tensor>, name: string) => outputs.get(name)!.data as Float32Array;
        const [a, b] = [at(graph, names.stem), at(engine, names.stem)];
        for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) unequalStems++;
        const [p, q] = [at(graph, names.scores), at(engine, names.scores)];
        for (let i = 0; i < p.length; i++) furthest = Math.max(furthest, Math.abs(p[i]! - q[i]!));
        for (let n = 0; n < 200; n++) {
          const leaves = [p, q].map(
            (scores) => normalizedEntropy(softmax(scores.subarray(n * 10, n * 10 + 10))) < exit.threshold,
          );
          if (leaves[0] !== leaves[1]) unequalExits++;
          exits += Number(leaves[1]);
        }
      }
      expect({ unequalStems, unequalExits }).toEqual({ unequalStems: 0, unequalExits: 0 });
      expect(furthest).toBeLessThan(1e-4);
      expect(exits / data.samples).toBe(manifest.measured!.exitRate);
      await Promise.all([session.dispose(), section.dispose()]);
    }, 900_000);
  });
});
