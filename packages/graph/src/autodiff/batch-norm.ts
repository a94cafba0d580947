import { attrFloat, attrInt } from '../attributes.ts';
import { type Rule, reduceSum, unsupported } from './context.ts';

/**
 * BatchNormalization, y = gamma (x - m) / sqrt(v + eps) + beta: in training mode with m and v of the batch, else with
 * those that were kept, which are constants.
 *
 * With s = 1/sqrt(v + eps), M elements a channel and sums over the channel,
 *   dbeta  = sum dy
 *   dgamma = s (sum(dy x) - m dbeta)
 *   dx = gamma s (dy - dbeta / M - (x - m) s dgamma / M)
 * which as one multiply-add of whole tensors is dx = A dy + B x + C with
 *   A = gamma s,  B = -A s dgamma / M,  C = -(A dbeta / M + B m).
 * B and C are how m and v follow x: where they are constants, dx = A dy.
 *
 * In training mode the batch's m and v are read from outputs 1 and 2, which are exactly that when momentum is 0: running
 * averages are kept outside. (onnxruntime overwrites the running inputs in training mode: feed two computed tensors.)
 */
const batchNormalization: Rule = (c) => {
  const { b, node, dy } = c;
  const [x, gamma, beta] = node.input as [string, string, string];
  const ofBatch = attrInt(node, 'training_mode', 0) === 1;
  const [mean, variance] = (ofBatch ? node.output.slice(1) : node.input.slice(3)) as [string?, string?];
  if (!mean || !variance || (ofBatch && attrFloat(node, 'momentum', 0.9) !== 0))
    throw unsupported(c, 'in training mode with momentum 0 and three outputs');
  if (!ofBatch && (c.wanted(mean) || c.wanted(variance)))
    throw unsupported(c, 'where the averages that it keeps are constants');
  const dims = c.dims(x);
  const axes = dims.map((_, i) => i).filter((i) => i !== 1);
  const M = axes.reduce((product, axis) => product * dims[axis]!, 1);
  const s = b.div(b.scalar(1), b.sqrt(b.add(variance, b.scalar(attrFloat(node, 'epsilon', 1e-5)))));
  const dbeta = reduceSum(b, dy, dims, axes);
  const dgamma = b.mul(s, b.sub(reduceSum(b, b.mul(dy, x), dims, axes), b.mul(mean, dbeta)));
  if (c.wanted(beta)) c.give(beta, dbeta);
  if (c.wanted(gamma)) c.give(gamma, dgamma);
  if (!c.wanted(x)) return;
  const perChannel = [1, dims[1]!, ...dims.slice(2).map(() => 1)];
  const wide = (v: string) => b.reshape(v, perChannel);
  const A = b.mul(gamma, s);
  if (!ofBatch) {
    c.give(x, b.mul(wide(A), dy));
    return;
  }
  const B = b.neg(b.mul(b.mul(A, s), b.mul(dgamma, b.scalar(1 / M))));
  const C = b.neg(b.add(b.mul(A, b.mul(dbeta, b.scalar(1 / M))), b.mul(B, mean)));
  c.give(x, b.add(b.add(b.mul(wide(A), dy), b.mul(wide(B), x)), wide(C)));
};

export const batchNorm: Readonly<Record<string, Rule>> = { BatchNormalization: batchNormalization };
