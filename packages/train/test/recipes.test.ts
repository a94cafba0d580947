/** Branches of every recipe: their graphs and the device's engine agree, and their sizes. */
import { binaryEngine } from '@tierwise/binary';
import { compileBranch } from '@tierwise/binary/compile';
import { elementCount, random, tensor } from '@tierwise/core';
import { extract, writeOnnx } from '@tierwise/graph';
import { openSession } from '@tierwise/ort';
import type { Section } from '@tierwise/plan';
import { describe, expect, test } from 'vitest';
import type { Weights } from '../src/layers/inference.ts';
import { exportComposite, ports } from '../src/networks/export.ts';
import { findNetwork, mirrorOf, type Network } from '../src/networks/index.ts';
import { untrainedWeights } from '../src/networks/untrained.ts';
import {
  type BranchChoice,
  depthwiseDesign,
  freeDesign,
  type RecipeName,
  recipes,
} from '../src/recipes/index.ts';

const classes = 5;

/** Starting weights with norms and thresholds that a training might have led to, so that signs differ. */
function disturbed(network: Network, branch: BranchChoice): Weights {
  const r = random(11);
  return new Map(
    [...untrainedWeights(network, classes, 3, branch)].map(([name, values]) => {
      const part = name.slice(name.lastIndexOf('.') + 1);
      if (part === 'gamma' || part === 'variance') return [name, values.map(() => 0.5 + r.uniform())];
      if (part === 'beta' || part === 'mean' || part === 'shift')
        return [name, values.map(() => 0.5 * r.normal())];
      return [name, values];
    }),
  );
}

const lenet = findNetwork('lenet');
const resnet18 = findNetwork('resnet18');
/** A stem of the size of ResNet-18's with blocks of every kind, cheap enough to be run many times. */
const mixed = {
  blocks: [
    { filters: 64, kernel: 3, stride: 1, pad: 1, convs: 2, shortcut: true, pool: false },
    { filters: 24, kernel: 3, stride: 2, pad: 1, convs: 2, shortcut: true, pool: false },
    { filters: 24, kernel: 3, stride: 1, pad: 1, convs: 1, shortcut: false, pool: true },
    { filters: 40, kernel: 1, stride: 1, pad: 0, convs: 1, shortcut: true, pool: false },
    { filters: 16, kernel: 5, stride: 1, pad: 0, convs: 1, shortcut: false, pool: false },
  ],
  dense: [24, 16],
} as const;

/** Blocks that are depthwise: of every stride, with a pool, twice, and of a window that is not 3x3. */
const depthwise = {
  blocks: [
    { ...mixed.blocks[0], convs: 1, depthwise: true },
    { ...mixed.blocks[1], convs: 1, depthwise: true },
    { ...mixed.blocks[1], stride: 1, depthwise: true },
    { ...mixed.blocks[2], depthwise: true },
    { ...mixed.blocks[4], depthwise: true },
  ],
  dense: [],
} as const;

const cases = (Object.keys(recipes) as RecipeName[]).flatMap((recipe) =>
  (
    [
      ['mirrors LeNet', lenet, mirrorOf(lenet).design],
      ['is free of LeNet', lenet, freeDesign([1, 20, 12, 12], { depth: 3, width: 16 })],
      ['halves the map at once', lenet, freeDesign([1, 20, 12, 12], { depth: 2, width: 16, stride: 2 })],
      ['has blocks of every kind', resnet18, mixed],
      ['has depthwise blocks', resnet18, depthwise],
    ] as const
  ).map(([what, network, design]) => ({ recipe, what, network, design })),
);

describe.each(cases)('$recipe, a branch that $what', ({ recipe, network, design }) => {
  test('signs and stems of the engine are those of onnxruntime, scores within 1e-4', async () => {
    const branch = { recipe, design };
    const { model } = exportComposite(network, disturbed(network, branch), classes, {
      smallEnds: true,
      branch,
    });
    const signs = model
      .graph!.node.filter(({ opType }) => opType === 'Where')
      .map(({ output }) => output[0]!);
    const names = [ports.stem, ...signs, ports.branch];
    // Fused with what follows, a stem's whole numbers would be none.
    const session = await openSession(writeOnnx(extract(model, { inputs: [ports.input], outputs: names })), {
      optimization: 'disabled',
    });
    const { channels, height, width } = network.input;
    const dims = [3, channels, height, width];
    const section: Section = {
      id: 'branch',
      place: 'device',
      engine: 'binary',
      artifact: '0'.repeat(64) as Section['artifact'],
      model: 'branch',
      inputs: [{ tensor: ports.input, dims: [1, ...dims.slice(1)] }],
      outputs: names.map((name) => ({ tensor: name, dims: [1] })),
    };
    const program = compileBranch(model, { input: ports.input, outputs: names, halfPrecisionEnds: true });
    const engine = await binaryEngine().load(program, section);
    const r = random(5);
    const pixels = Float32Array.from({ length: elementCount(dims) }, () => r.below(256));
    const input = new Map([[ports.input, tensor('float32', dims, pixels)]]);
    const [graph, device] = [await session.run(input), await engine.run(input)];
    const numbers = (outputs: typeof graph, name: string) => [...(outputs.get(name)!.data as Float32Array)];
    expect(numbers(device, ports.stem)).toEqual(numbers(graph, ports.stem));
    let ones = 0;
    let all = 0;
    for (const name of signs) {
      const expected = numbers(graph, name);
      expect(numbers(device, name), name).toEqual(expected);
      ones += expected.filter((x) => x === 1).length;
      all += expected.length;
    }
    // Signs that were nearly all alike would prove little.
    expect(Math.abs(ones / all - 0.5)).toBeLessThan(0.3);
    for (const [i, x] of numbers(graph, ports.branch).entries())
      expect(Math.abs(numbers(device, ports.branch)[i]! - x)).toBeLessThan(1e-4 * Math.max(1, Math.abs(x)));
    await Promise.all([session.dispose(), engine.dispose()]);
  });
});

test('depthwise blocks make the modern branch of MobileNetV2 smaller than that of the paper, which knows none', () => {
  const network = findNetwork('mobilenet-v2');
  const { design } = mirrorOf(network);
  const bytes = (branch: BranchChoice) => {
    const { model } = exportComposite(network, untrainedWeights(network, 10, 1, branch), 10, {
      smallEnds: true,
      branch,
    });
    const outputs = [ports.stem, ports.branch];
    return compileBranch(model, { input: ports.input, outputs, halfPrecisionEnds: true }).length;
  };
  const paper = bytes({ recipe: 'xnor', design });
  const depthwise = depthwiseDesign(design);
  expect(bytes({ recipe: 'xnor', design: depthwise })).toBe(paper);
  const newer = bytes({ recipe: 'modern', design: depthwise });
  expect(newer / paper).toBeLessThan(0.91);
  expect(newer / bytes({ recipe: 'modern', design })).toBeLessThan(0.61);
});

test("a modern branch has the bytes of the paper's, 6 % more at most", () => {
  for (const name of ['resnet18', 'vgg16']) {
    const network = findNetwork(name);
    const [paper, newer] = (['xnor', 'modern'] as const).map((recipe) => {
      const branch = mirrorOf(network, recipe);
      const weights = untrainedWeights(network, 10, 1, branch);
      const { model } = exportComposite(network, weights, 10, { smallEnds: true, branch });
      const outputs = [ports.stem, ports.branch];
      return compileBranch(model, { input: ports.input, outputs, halfPrecisionEnds: true }).length;
    });
    expect(newer! / paper!, name).toBeLessThan(1.06);
  }
});
