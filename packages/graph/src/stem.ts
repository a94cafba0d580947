import { TierwiseError } from '@tierwise/core';
import type { ModelProto, NodeProto } from 'onnx-buf';
import { flowOf } from './flow.ts';
import type { ShapeOptions } from './shapes.ts';
import { summarize } from './summary.ts';

/** What may follow the first convolution within its stage, beside arithmetic with constants (a bias, a folded norm). */
const stageOps = new Set(
  (
    'BatchNormalization LRN Relu LeakyRelu PRelu Elu Selu Clip Sigmoid HardSigmoid HardSwish Tanh MaxPool ' +
    'AveragePool Add Sub Mul Div Pad Dropout Identity'
  ).split(' '),
);

/**
 * The tensor after which a branch leaves the network: the smallest at the end of the first stage, that is the
 * first convolution and the run of normalisation, activation and pooling after it. The later one on a tie.
 * Source: LcDNN (IEEE TMC, doi 10.1109/TMC.2020.3043051) shares the first convolution; we take the end of its
 * stage, where both sides have less to exchange and neither computes the normalisation twice.
 * @throws TierwiseError MODEL_UNSUPPORTED when the network has no convolution, or no place after the first one
 *   where a single tensor separates input and output; else as `inferShapes` does
 */
export function findStem(model: ModelProto, options: ShapeOptions = {}): string {
  const { nodes, depends } = flowOf(model);
  const cuts = new Map(summarize(model, options).cuts.map((cut) => [cut.tensor, cut.bytes]));
  /** At most two of the nodes that take each tensor: one is a run that goes on, two are a fork. */
  const takers = new Map<string, NodeProto[]>();
  for (const node of nodes) {
    for (const name of new Set(node.input)) takers.set(name, [...(takers.get(name) ?? []).slice(0, 1), node]);
  }
  let tensor = nodes.find((node) => node.opType === 'Conv')?.output[0];
  if (tensor === undefined) throw new TierwiseError('MODEL_UNSUPPORTED', 'the network has no convolution');
  let stem: string | undefined;
  while (tensor !== undefined) {
    const end: string = tensor;
    const bytes = cuts.get(end);
    if (bytes !== undefined && bytes <= (cuts.get(stem ?? '') ?? Infinity)) stem = end;
    const [next, other] = takers.get(end) ?? [];
    const goesOn =
      other === undefined && next && stageOps.has(next.opType) && next.input.filter(depends).length === 1;
    tensor = goesOn ? next.output[0] : undefined;
  }
  if (stem === undefined) {
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      'the network has several paths around the end of its first stage: there is no single tensor to cut at',
    );
  }
  return stem;
}
