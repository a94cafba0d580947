import { permutation, random, type Tensor, tensor } from '@tierwise/core';
import { differentiate, GraphBuilder, writeOnnx } from '@tierwise/graph';
import { InferenceLayers, type Weights } from '../layers/inference.ts';
import type { Feature, Layers } from '../layers/layers.ts';
import { TrainingLayers } from '../layers/training.ts';
import { startingValues } from '../start/drawn.ts';
import { adam } from '../step/optimizer.ts';
import type { StateTensor } from '../step/step.ts';
import { freshState, openStep } from '../step/step-runner.ts';
import { featureChannels, type Grid, targetChannels } from './grid.ts';
import { type Pairs, windowSide } from './linear.ts';

const filters = 32;
const steps = 300;
const peakRate = 0.003;
/** Cells of all samples of a step: larger maps take smaller batches, so that every training takes about as long. */
const cellsPerStep = 6272;
const mostBatch = 64;

/** What the linear inverter says, and what three convolutions add to it. Without weights it is the linear one alone. */
function inverter(b: GraphBuilder, grid: Grid, linear: Float32Array, x: Feature, layers?: Layers): string {
  const side = windowSide(grid);
  const outs = targetChannels(grid);
  const dims = [outs, featureChannels(grid), side, side];
  const pad = (side - 1) / 2;
  const weights = b.initializer('linear', tensor('float32', dims, Float32Array.from(linear)));
  const said = b.op('Conv', [x.value, weights], { kernel_shape: [side, side], pads: [pad, pad, pad, pad] });
  if (layers === undefined) return said;
  let y = layers.relu(layers.conv(x, 'first', { filters, kernel: side, pad, bias: true }));
  y = layers.relu(layers.conv(y, 'second', { filters, kernel: 3, pad: 1, bias: true }));
  return b.add(said, layers.conv(y, 'last', { filters: outs, kernel: 1, bias: true }).value);
}

/** A graph from `x` [n, featureChannels, rows, columns] to `y` [n, targetChannels, rows, columns]. */
export function inverterModel(grid: Grid, linear: Float32Array, learned?: Weights): Uint8Array {
  const b = new GraphBuilder('inverter');
  const dims = [featureChannels(grid), grid.rows, grid.columns];
  const value = b.input('x', 'float32', ['n', ...dims]);
  const layers = learned && new InferenceLayers(b, learned);
  const y = inverter(b, grid, linear, { value, dims: [0, ...dims] }, layers);
  b.output(y, 'float32', ['n', targetChannels(grid), grid.rows, grid.columns], 'y');
  return writeOnnx(b.model);
}

/** Trains the convolutions by Adam on the mean square error over all pixels. Equal seeds give equal weights. */
export async function fitLearned(
  grid: Grid,
  linear: Float32Array,
  pairs: Pairs,
  { seed, threads }: { readonly seed: number; readonly threads: number },
): Promise<Weights> {
  const cells = grid.rows * grid.columns;
  const batch = Math.min(pairs.samples, mostBatch, Math.max(2, Math.round(cellsPerStep / cells)));
  const shapes = [featureChannels(grid), targetChannels(grid)].map((c) => [
    batch,
    c,
    grid.rows,
    grid.columns,
  ]);
  const [inDims, outDims] = shapes as [number[], number[]];
  const b = new GraphBuilder('inverter-step');
  const value = b.input('x', 'float32', inDims);
  const wanted = b.input('y', 'float32', outDims);
  const rate = b.input('rate', 'float32', []);
  const scalars = new Map(Object.keys(adam.scalars(1)).map((name) => [name, b.input(name, 'float32', [])]));
  const layers = new TrainingLayers(b);
  const apart = b.sub(inverter(b, grid, linear, { value, dims: inDims }, layers), wanted);
  const gradients = differentiate(
    b,
    b.mean(b.mul(apart, apart), [0, 1, 2, 3]),
    layers.parameters.map(({ name }) => name),
  );
  const state: StateTensor[] = [];
  for (const { name, dims } of layers.parameters) {
    const slots = adam.slots.map((slot) => b.input(`${name}.${slot}`, 'float32', dims));
    const update = adam.update(b, name, gradients.get(name)!, slots, rate, (scalar) => scalars.get(scalar)!);
    for (const [i, next] of [update.value, ...update.slots].entries()) {
      const own = i === 0 ? name : `${name}.${adam.slots[i - 1]}`;
      state.push({ name: own, dims });
      b.output(next, 'float32', dims, `${own}.next`);
    }
  }
  const { parameters, statistics, masks } = layers;
  const step = { model: writeOnnx(b.model), heads: [], parameters, statistics, masks, state };
  const drawn = startingValues(layers, seed);
  // It begins as the linear one: what is added is 0.
  drawn.get('last.weight')!.fill(0);
  const start = freshState(step, drawn);
  await using runner = await openStep(step, { optimizer: adam, start, threads });
  const x = tensor('float32', inDims, new Float32Array(inDims.reduce((a, d) => a * d, 1)));
  const y = tensor('float32', outDims, new Float32Array(outDims.reduce((a, d) => a * d, 1)));
  for (let number = 1; number <= steps; number++) {
    const chosen = permutation(pairs.samples, random(seed, number)).subarray(0, batch);
    fill(x, pairs.features, chosen);
    fill(y, pairs.targets, chosen);
    const warm = Math.min(1, number / 20);
    const rate = peakRate * warm * 0.5 * (1 + Math.cos((Math.PI * number) / steps));
    await runner.run([['x', x] as const, ['y', y] as const], rate, number);
  }
  return new Map(parameters.map(({ name }) => [name, runner.state.get(name)!.data]));
}

function fill(into: Tensor<'float32'>, from: Float32Array, samples: Uint32Array): void {
  const size = into.data.length / samples.length;
  for (const [i, sample] of samples.entries())
    into.data.set(from.subarray(sample * size, (sample + 1) * size), i * size);
}
