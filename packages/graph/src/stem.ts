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
 * The tensors after which a branch may leave the network, best first: those that alone separate input and output at
 * the end of the first convolution's stage, that is the convolution and the run of normalisation, activation and
 * pooling after it. The smallest is best, and the later one on a tie.
 * Source: LcDNN (IEEE TMC, doi 10.1109/TMC.2020.3043051) shares the first convolution; we take the end of its
 * stage, where both sides have less to exchange and neither computes the normalisation twice.
 * @throws TierwiseError MODEL_UNSUPPORTED when the network has no convolution, or no place after the first one
 *   where a single tensor separates input and output; else as `inferShapes` does
 */
export function stemCandidates(model: ModelProto, options: ShapeOptions = {}): string[] {
  const { nodes, depends } = flowOf(model);
  const cuts = new Map(summarize(model, options).cuts.map((cut) => [cut.tensor, cut.bytes]));
  /** At most two of the nodes that take each tensor: one is a run that goes on, two are a fork. */
  const takers = new Map<string, NodeProto[]>();
  for (const node of nodes) {
    for (const name of new Set(node.input)) takers.set(name, [...(takers.get(name) ?? []).slice(0, 1), node]);
  }
  let tensor = nodes.find((node) => node.opType === 'Conv')?.output[0];
  if (tensor === undefined) throw new TierwiseError('MODEL_UNSUPPORTED', 'the network has no convolution');
  const found: string[] = [];
  while (tensor !== undefined) {
    if (cuts.has(tensor)) found.unshift(tensor);
    const [next, other]: (NodeProto | undefined)[] = takers.get(tensor) ?? [];
    const goesOn: boolean =
      other === undefined &&
      next !== undefined &&
      stageOps.has(next.opType) &&
      next.input.filter(depends).length === 1;
    tensor = goesOn ? next?.output[0] : undefined;
  }
  if (found.length === 0) {
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      'the network has several paths around the end of its first stage: there is no single tensor to cut at',
    );
  }
  return found.sort((a, b) => cuts.get(a)! - cuts.get(b)!);
}

/** The best of `stemCandidates`. */
export function findStem(model: ModelProto, options: ShapeOptions = {}): string {
  return stemCandidates(model, options)[0]!;
}
