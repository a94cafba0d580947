import { random, tensor } from '@tierwise/core';
import { GraphBuilder, writeOnnx } from '@tierwise/graph';
import { openSession } from '@tierwise/ort';
import { expect, test } from 'vitest';
import { InferenceLayers, type Weights } from './inference.ts';
import type { Bias, Feature, Layers } from './layers.ts';

const dims = [2, 3, 8, 8];

/** Stem, convolution and dense layer, each with a bias of the given kind; `norm` comes after each. */
function network(l: Layers, pixels: Feature, bias: Bias, norm = (x: Feature, _: string) => x): Feature {
  const options = { filters: 4, kernel: 3, bias } as const;
  const stem = l.relu(l.maxPool(norm(l.pixelConv(pixels, 'stem', options), 'stem'), 2));
  const x = l.relu(norm(l.conv(stem, 'conv', options), 'conv'));
  return norm(l.dense(l.flatten(x), 'dense', 5, bias), 'dense');
}

function drawn(): Weights {
  const r = random(5);
  const draw = (length: number) => Float32Array.from({ length }, () => r.normal());
  return new Map(
    Object.entries({ stem: [4, 27], conv: [4, 36], dense: [5, 4] }).flatMap(([name, [units, taps]]) => [
      [`${name}.weight`, draw(units! * taps!)],
      [`${name}.norm.gamma`, draw(units!).map(Math.exp)],
      [`${name}.norm.beta`, draw(units!)],
      [`${name}.norm.mean`, draw(units!)],
      [`${name}.norm.variance`, draw(units!).map(Math.exp)],
    ]),
  );
}

async function scores(weights: Weights, write: (l: Layers, pixels: Feature) => Feature) {
  const b = new GraphBuilder('folded');
  const pixels = { value: b.input('pixels', 'float32', dims), dims };
  b.output(write(new InferenceLayers(b, weights), pixels).value, 'float32', [2, 5], 'scores');
  const nodes = b.model.graph!.node.map(({ opType }) => opType);
  const session = await openSession(writeOnnx(b.model), { threads: 1 });
  const r = random(6);
  const data = Float32Array.from({ length: 2 * 3 * 8 * 8 }, () => r.below(256));
  const found = (await session.run(new Map([['pixels', tensor('float32', dims, data)]]))).get('scores')!;
  await session.dispose();
  return { nodes, values: [...(found.data as Float32Array)] };
}

test('a batch norm that is trained as a bias is folded into its layer, and the same is computed', async () => {
  const weights = drawn();
  const folded = await scores(weights, (l, pixels) => network(l, pixels, 'norm'));
  // The scale and shift of the stem's whole-number weights alone.
  expect(folded.nodes.filter((type) => type === 'Mul' || type === 'Add')).toEqual(['Mul', 'Add']);

  const zeros = [4, 4, 5].map((units, i) => [
    `${['stem', 'conv', 'dense'][i]}.bias`,
    new Float32Array(units),
  ]);
  const plain = new Map([...weights, ...(zeros as [string, Float32Array][])]);
  const apart = await scores(plain, (l, pixels) =>
    network(l, pixels, true, (x, name) => l.batchNorm(x, `${name}.norm`)),
  );
  const scale = Math.max(...apart.values.map(Math.abs));
  for (const [i, value] of apart.values.entries())
    expect(folded.values[i]! / scale).toBeCloseTo(value / scale, 3);
});
