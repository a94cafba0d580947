import { TierwiseError } from '@tierwise/core';
import { attrFloat, attrInt } from '../attributes.ts';
import { type Rule, unbroadcast } from './context.ts';

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
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      `${node.name}: Gemm can be differentiated with alpha = beta = 1`,
      { node: node.name },
    );
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

/** The two-dimensional case of MatMul, which is Gemm without flags. */
const matMul: Rule = (c) => {
  const [A, B] = c.node.input as [string, string];
  if (c.dims(A).length !== 2 || c.dims(B).length !== 2)
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      `${c.node.name}: MatMul can be differentiated for two matrices`,
      { node: c.node.name },
    );
  if (c.wanted(A)) c.give(A, c.b.gemm(c.dy, B, { transB: 1 }));
  if (c.wanted(B)) c.give(B, c.b.gemm(A, c.dy, { transA: 1 }));
};

export const dense: Readonly<Record<string, Rule>> = { Gemm: gemm, MatMul: matMul };
