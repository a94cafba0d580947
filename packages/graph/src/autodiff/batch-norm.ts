import { TierwiseError } from '@tierwise/core';
import { attrFloat, attrInt } from '../attributes.ts';
import { type Rule, reduceSum } from './context.ts';

/**
 * BatchNormalization in training mode, y = gamma (x - m) / sqrt(v + eps) + beta with m and v of the batch.
 *
 * With s = 1/sqrt(v + eps), M elements a channel and sums over the channel,
 *   dbeta  = sum dy
 *   dgamma = s (sum(dy x) - m dbeta)
 *   dx = gamma s (dy - dbeta / M - (x - m) s dgamma / M)
 * which as one multiply-add of whole tensors is dx = A dy + B x + C with
 *   A = gamma s,  B = -A s dgamma / M,  C = -(A dbeta / M + B m).
 *
 * The batch's m and v are read from outputs 1 and 2, which are exactly that when momentum is 0: running averages
 * are kept outside. (onnxruntime overwrites the running inputs in training mode: feed two computed tensors.)
 */
const batchNormalization: Rule = (c) => {
  const { b, node, dy } = c;
  const [x, gamma, beta] = node.input as [string, string, string];
  const [, mean, variance] = node.output as [string, string?, string?];
  if (attrInt(node, 'training_mode', 0) !== 1 || attrFloat(node, 'momentum', 0.9) !== 0 || !mean || !variance)
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      `${node.name}: BatchNormalization can be differentiated with training_mode 1, momentum 0 and three outputs`,
      { node: node.name },
    );
  const dims = c.dims(x);
  const axes = dims.map((_, i) => i).filter((i) => i !== 1);
  const M = axes.reduce((product, axis) => product * dims[axis]!, 1);
  const s = b.div(b.scalar(1), b.sqrt(b.add(variance, b.scalar(attrFloat(node, 'epsilon', 1e-5)))));
  const dbeta = reduceSum(b, dy, dims, axes);
  const dgamma = b.mul(s, b.sub(reduceSum(b, b.mul(dy, x), dims, axes), b.mul(mean, dbeta)));
  if (c.wanted(beta)) c.give(beta, dbeta);
  if (c.wanted(gamma)) c.give(gamma, dgamma);
  if (!c.wanted(x)) return;
  const A = b.mul(gamma, s);
  const B = b.neg(b.mul(b.mul(A, s), b.mul(dgamma, b.scalar(1 / M))));
  const C = b.neg(b.add(b.mul(A, b.mul(dbeta, b.scalar(1 / M))), b.mul(B, mean)));
  const perChannel = [1, dims[1]!, ...dims.slice(2).map(() => 1)];
  const wide = (v: string) => b.reshape(v, perChannel);
  c.give(x, b.add(b.add(b.mul(wide(A), dy), b.mul(wide(B), x)), wide(C)));
};

export const batchNorm: Readonly<Record<string, Rule>> = { BatchNormalization: batchNormalization };
