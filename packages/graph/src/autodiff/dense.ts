import { attrFloat, attrInt } from '../attributes.ts';
import type { Value } from '../builder.ts';
import { type Rule, type RuleContext, unbroadcast, unsupported } from './context.ts';

/**
 * Y = A' B' + C with A' = A or A transposed, likewise B'. For Y = A B: dA = dY B^T, dB = A^T dY; a transposed
 * operand swaps the two factors of its own gradient.
 */
const gemm: Rule = (c) => {
  const { b, node, dy } = c;
  const [A, B, C] = node.input as [string, string, string | undefined];
  const transA = attrInt(node, 'transA', 0) === 1;
  const transB = attrInt(node, 'transB', 0) === 1;
  if (attrFloat(node, 'alpha', 1) !== 1 || attrFloat(node, 'beta', 1) !== 1)
    throw unsupported(c, 'with alpha = beta = 1');
  const flag = (on: boolean) => (on ? 1 : 0);
  if (c.wanted(A))
    c.give(
      A,
      transA ? b.gemm(B, dy, { transA: flag(transB), transB: 1 }) : b.gemm(dy, B, { transB: flag(!transB) }),
    );
  if (c.wanted(B))
    c.give(
      B,
      transB ? b.gemm(dy, A, { transA: 1, transB: flag(transA) }) : b.gemm(A, dy, { transA: flag(!transA) }),
    );
  if (C !== undefined && C !== '' && c.wanted(C))
    c.give(C, unbroadcast(b, dy, c.dims(node.output[0]!), c.dims(C)));
};

/**
 * Y = A B for each matrix of a batch, whose leading dimensions broadcast: dA = dY B^T and dB = A^T dY, summed where
 * a factor was stretched. One matrix B for all of A's is the case of a dense layer: its dB is one product of A and
 * dY as tall matrices.
 */
const matMul: Rule = (c) => {
  const { b, dy } = c;
  const [A, B] = c.node.input as [string, string];
  const [dimsA, dimsB, dimsY] = [c.dims(A), c.dims(B), c.dims(c.node.output[0]!)];
  if (dimsA.length < 2 || dimsB.length < 2) throw unsupported(c, 'for matrices, not for vectors');
  if (dimsB.length === 2) {
    const tall = (value: Value, columns: number) =>
      dimsA.length === 2 ? value : b.reshape(value, [-1, columns]);
    if (c.wanted(A)) {
      const dA = b.gemm(tall(dy, dimsY.at(-1)!), B, { transB: 1 });
      c.give(A, dimsA.length === 2 ? dA : b.reshape(dA, dimsA));
    }
    if (c.wanted(B)) c.give(B, b.gemm(tall(A, dimsA.at(-1)!), tall(dy, dimsY.at(-1)!), { transA: 1 }));
    return;
  }
  const batch = dimsY.slice(0, -2);
  if (c.wanted(A))
    c.give(
      A,
      unbroadcast(b, b.op('MatMul', [dy, transposed(c, B, dimsB)]), [...batch, ...dimsA.slice(-2)], dimsA),
    );
  if (c.wanted(B))
    c.give(
      B,
      unbroadcast(b, b.op('MatMul', [transposed(c, A, dimsA), dy]), [...batch, ...dimsB.slice(-2)], dimsB),
    );
};

/** Every matrix of a batch transposed. */
function transposed(c: RuleContext, value: Value, dims: readonly number[]): Value {
  const axes = dims.map((_, i) => i);
  return c.b.transpose(value, [...axes.slice(0, -2), axes.length - 1, axes.length - 2]);
}

export const dense: Readonly<Record<string, Rule>> = { Gemm: gemm, MatMul: matMul };
