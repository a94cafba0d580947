import { compileBranch } from '@tierwise/binary/compile';
import { readOnnx, summarize, writeOnnx } from '@tierwise/graph';
import { expect, test } from 'vitest';
import { exportComposite, ports } from './export.ts';
import { networks } from './index.ts';
import { untrainedWeights } from './untrained.ts';

/** Parameters of stem and main network with 10 classes, as published or derived (systems.md section 6.7). */
const published: Record<string, number> = {
  // Caffe's LeNet has 431,080; the biases of two convolutions (70) give way to three batch norms (1,140).
  lenet: 431_080 - 70 + 1_140,
  'lenet-small': 431_080 - 70 + 1_140,
  // Convolutions of 6 and 12, dense layers of 72 and 10 with biases, batch norms of 6, 12 and 72.
  'lenet-narrow': 6 * 25 + 12 * 6 * 25 + (192 + 1) * 72 + (72 + 1) * 10 + 2 * (6 + 12 + 72),
  alexnet: 23_272_266,
  resnet18: 11_173_962,
  vgg16: 15_245_130,
  'mobilenet-v2': 2_296_922,
  // Of filters 8, 8, 8, 8, 16, 24, 40, 80 and 1,280.
  'mobilenet-v2-0.25': 254_794,
};

/** Bytes that the branch program stays below, with 10 classes: those of LcDNN's Table 1 where it has the network. */
const mostBytes: Record<string, number> = {
  lenet: 103_000,
  'lenet-small': 20_000,
  'lenet-narrow': 6_000,
  alexnet: 3_300_000,
  resnet18: 1_600_000,
  vgg16: 2_000_000,
  'mobilenet-v2': 300_000,
  'mobilenet-v2-0.25': 62_000,
};

test.each(Object.values(networks).map((n) => [n.name, n] as const))(
  '%s has the parameters it should, and exports to a graph with the right shapes and to a small branch',
  (name, network) => {
    const weights = untrainedWeights(network, 10, 1);
    // Of a batch norm that is folded into its layer the shifts are left, as biases.
    const isFolded = (key: string) => weights.has(key.replace(/norm\.gamma$/, 'weight'));
    const learnt = [...weights].filter(
      ([key]) =>
        /^(stem|main)\./.test(key) &&
        !/\.(mean|variance)$/.test(key) &&
        !(key.endsWith('.norm.gamma') && isFolded(key)),
    );
    expect(learnt.reduce((sum, [, values]) => sum + values.length, 0)).toBe(published[name]);
    const { model, stemDims } = exportComposite(network, weights, 10, { smallEnds: true });
    const summary = summarize(readOnnx(writeOnnx(model)));
    const dims = new Map(summary.tensors.map((t) => [t.name, t.dims]));
    expect(dims.get('scores')).toEqual([1, 10]);
    expect(dims.get('branch_scores')).toEqual([1, 10]);
    expect(dims.get('stem')).toEqual(stemDims);
    const branch = compileBranch(model, {
      input: ports.input,
      outputs: [ports.stem, ports.branch],
      halfPrecisionEnds: true,
    });
    expect(branch.byteLength).toBeLessThan(mostBytes[name]!);
  },
);
