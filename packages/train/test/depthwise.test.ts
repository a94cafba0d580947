/** Depthwise layers in 8 bits: training, inference and engine agree, and a branch that has them learns. */
import { kernelSource, prepare, readProgram } from '@tierwise/binary';
import { compileBranch } from '@tierwise/binary/compile';
import { random, type Tensor, tensor } from '@tierwise/core';
import { GraphBuilder, writeOnnx } from '@tierwise/graph';
import ort from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { InferenceLayers, type Weights } from '../src/layers/inference.ts';
import { TrainingLayers } from '../src/layers/training.ts';
import { plainBlock } from '../src/recipes/design.ts';
import { recipes } from '../src/recipes/index.ts';
import { startingValues } from '../src/start/drawn.ts';
import { adam } from '../src/step/optimizer.ts';
import { branchStep } from '../src/step/step.ts';
import { freshState, openStep } from '../src/step/step-runner.ts';

type Feeds = Readonly<Record<string, { readonly dims: readonly number[]; readonly data: Float32Array }>>;

/** Outputs of `b`'s graph by name, computed node by node as it says. */
async function run(b: GraphBuilder, feeds: Feeds, outputs: readonly string[]) {
  for (const name of outputs) if (!b.graph.output.some((o) => o.name === name)) b.output(name, 'float32', []);
  const session = await ort.InferenceSession.create(writeOnnx(b.model), {
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 4,
  });
  const given = Object.entries(feeds).map(([name, { dims, data }]) => [
    name,
    new ort.Tensor('float32', data, dims),
  ]);
  const results = await session.run(Object.fromEntries(given), [...outputs]);
  await session.release();
  return (name: string) => results[name]!.data as Float32Array;
}

const [batch, channels, size, classes] = [6, 8, 12, 3];
const r = random(8);
const normal = (...dims: number[]) =>
  tensor(
    'float32',
    dims,
    Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => r.normal()),
  );

test('training slides the whole numbers that inference stores, and their step is the scale', async () => {
  const weight = normal(channels, 1, 3, 3);
  // A filter of zeros, and one whose numbers lie in the middle between whole steps.
  weight.data.fill(0, 0, 9).set([127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, -126.5], 9);
  const x = normal(2, channels, size, size);
  const options = { kernel: 3, stride: 2, pad: 1 };
  const written = new GraphBuilder('training');
  const signs = (b: GraphBuilder) => ({ value: b.sign(b.input('x', 'float32', x.dims)), dims: x.dims });
  const inTraining = new TrainingLayers(written).depthwise(signs(written), 'each', options);
  expect(inTraining.dims).toEqual([2, channels, 6, 6]);
  const trained = await run(written, { x, 'each.weight': weight }, [inTraining.value, inTraining.factor!]);

  const stored = new GraphBuilder('inference');
  const layers = new InferenceLayers(stored, new Map([['each.weight', weight.data]]));
  const inferred = layers.depthwise(signs(stored), 'each', options);
  const found = await run(stored, { x }, [inferred.value]);
  expect(found(inferred.value)).toEqual(trained(inTraining.value));
  expect(found(inferred.value).every(Number.isInteger)).toBe(true);
  expect(Float32Array.from(inferred.scale!)).toEqual(trained(inTraining.factor!));
  const whole = stored.graph.initializer.find(({ name }) => name === 'each.whole')!;
  expect([...new Int8Array(whole.rawData!.slice(0, 18))]).toEqual([
    ...new Array<number>(9).fill(0),
    ...[127, 0, 2, 2, 0, -2, -2, 126, -126],
  ]);
});

test('before weights are whole, training slides them as they are', async () => {
  const x = normal(1, channels, 5, 5);
  const weight = normal(channels, 1, 1, 1);
  const b = new GraphBuilder('real');
  const layers = new TrainingLayers(b, { realWeights: true });
  const signs = { value: b.sign(b.input('x', 'float32', x.dims)), dims: x.dims };
  const y = layers.depthwise(signs, 'each', { kernel: 1 });
  expect(y.factor).toBeUndefined();
  const get = await run(b, { x, 'each.weight': weight }, [y.value]);
  expect(get(y.value)).toEqual(x.data.map((v, i) => (v >= 0 ? 1 : -1) * weight.data[Math.floor(i / 25)]!));
});

const design = {
  blocks: [
    { ...plainBlock, filters: 8, depthwise: true },
    { ...plainBlock, filters: 12, stride: 2, depthwise: true },
    { ...plainBlock, filters: 12, convs: 2, pool: true, depthwise: true },
    { ...plainBlock, filters: 16 },
  ],
  dense: [],
} as const;

test('a branch with depthwise blocks is the same in training, in its graph and in the engine', async () => {
  const stem = normal(batch, channels, size, size);
  const b = new GraphBuilder('training');
  const layers = new TrainingLayers(b);
  const scores = recipes.modern(
    layers,
    { value: b.input('stem', 'float32', stem.dims), dims: stem.dims },
    classes,
    design,
  );
  const weights = new Map(startingValues(layers, 2));
  // As a training might have left them: every channel with another threshold.
  for (const { name } of layers.parameters)
    if (/\.(beta|shift)$/.test(name))
      weights.set(
        name,
        weights.get(name)!.map(() => 0.3 * r.normal()),
      );
  const feeds = layers.parameters.map(
    ({ name, dims }) => [name, { dims, data: weights.get(name)! }] as const,
  );
  const trained = await run(b, { stem, ...Object.fromEntries(feeds) }, [
    scores.value,
    ...layers.statistics.map((statistic) => statistic.batch),
  ]);
  for (const statistic of layers.statistics)
    weights.set(statistic.name, Float32Array.from(trained(statistic.batch)));

  const inference = inferenceGraph(weights);
  const graph = await run(inference, { stem }, ['scores']);
  const expected = [...trained(scores.value)];
  expect(Math.max(...expected.map(Math.abs))).toBeGreaterThan(0.1);
  for (const [i, score] of graph('scores').entries()) expect(score).toBeCloseTo(expected[i]!, 3);

  const loaded = readProgram(compileBranch(inference.model, { input: 'stem', outputs: ['scores'] }));
  expect(loaded.program.ops.filter(({ kind }) => kind === 'depthwise')).toHaveLength(4);
  const executor = await prepare(loaded, await kernelSource());
  const sample = stem.data.length / batch;
  for (let n = 0; n < batch; n++) {
    executor.run(stem.data.subarray(n * sample, (n + 1) * sample));
    for (const [i, score] of executor.outputs[0]!.entries())
      expect(score).toBeCloseTo(graph('scores')[n * classes + i]!, 4);
  }
});

function inferenceGraph(weights: Weights): GraphBuilder {
  const b = new GraphBuilder('inference');
  const dims = [0, channels, size, size];
  const stem = { value: b.input('stem', 'float32', ['n', ...dims.slice(1)]), dims };
  const layers = new InferenceLayers(b, weights);
  layers.mark(recipes.modern(layers, stem, classes, design), 'scores');
  b.output('scores', 'float32', ['n', classes]);
  return b;
}

test.each([true, false])('training it lowers its loss, with real weights: %s', async (realWeights) => {
  // Each class is another slope along the rows and columns of the map.
  const stem = normal(batch, channels, size, size);
  const side = (i: number) =>
    [i % size, Math.floor(i / size) % size][Math.floor(i / size ** 2) % 2]! - size / 2;
  for (const i of stem.data.keys())
    stem.data[i]! += side(i) * ((Math.floor((i * batch) / stem.data.length) % classes) - 1);
  const targets = tensor('float32', [batch, classes], new Float32Array(batch * classes));
  for (let n = 0; n < batch; n++) targets.data[n * classes + (n % classes)] = 1;
  const teacher: Tensor = tensor(
    'float32',
    targets.dims,
    targets.data.map((x) => 6 * x),
  );
  const options = { batch, classes, optimizer: adam, weightDecay: 0.01 };
  const branch = { recipe: 'modern', design } as const;
  const step = branchStep(stem.dims, branch, { temperature: 4, realWeights }, options);
  const start = freshState(step, startingValues(step, 1));
  await using runner = await openStep(step, { optimizer: adam, start, threads: 1 });
  const losses: number[] = [];
  for (let i = 1; i <= 40; i++)
    losses.push((await runner.run(Object.entries({ stem, teacher, targets }), 0.01, i))[0]!.loss);
  expect(losses.every(Number.isFinite)).toBe(true);
  expect(losses.at(-1)!).toBeLessThan(losses[0]! / 2);
});
