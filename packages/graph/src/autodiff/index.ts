import { TierwiseError } from '@tierwise/core';
import type { ModelProto, NodeProto } from 'onnx-buf';
import type { GraphBuilder, Value } from '../builder.ts';
import { nodeLabel } from '../check.ts';
import { inferKnown } from '../shapes.ts';
import { activations } from './activations.ts';
import { averagePools } from './average-pool.ts';
import { batchNorm } from './batch-norm.ts';
import type { Rule } from './context.ts';
import { conv } from './conv.ts';
import { dense } from './dense.ts';
import { elementwise } from './elementwise.ts';
import { pieces } from './pieces.ts';
import { pool } from './pool.ts';
import { shape } from './shape.ts';
import { softmaxes } from './softmax.ts';

const rules: Readonly<Record<string, Rule>> = {
  ...elementwise,
  ...activations,
  ...shape,
  ...pieces,
  ...dense,
  ...softmaxes,
  ...batchNorm,
  ...pool,
  ...averagePools,
  ...conv,
};

/** Operators whose rules take a gradient for every output; those of all others are made for output 0 alone. */
const severalOutputs: ReadonlySet<string> = new Set(['Split']);

/** Gradients are written with operators as they are since this version: ScatterElements adds since 16. */
const leastOpset = 16;

/** Operators that `differentiate` knows, sorted. */
export const differentiableOps: readonly string[] = Object.keys(rules).sort();

/**
 * Reverse-mode automatic differentiation of ONNX into ONNX: appends to `b`'s graph the nodes that compute
 * d loss / d value for each of `wrt`, and returns the names of those gradients, each of its value's shape.
 *
 * `bounded` are inputs that the caller keeps within [-1, 1]: the gradient of their sign passes without a look at them.
 *
 * `loss` is a float32 scalar of the graph. Shapes must be static (the batch size included). One backward node
 * group per forward node; a tensor with several consumers sums what they send back.
 *
 * @throws TierwiseError MODEL_UNSUPPORTED for an operator without a rule between `wrt` and `loss`, or when the
 *   loss does not depend on one of `wrt`
 */
export function differentiate(
  b: GraphBuilder,
  loss: Value,
  wrt: readonly Value[],
  { bounded = new Set() }: { readonly bounded?: ReadonlySet<Value> } = {},
): Map<Value, Value> {
  checkOpset(b.model);
  const known = inferKnown(b.model);
  const forward = [...b.graph.node];
  const producers = new Map<Value, NodeProto>();
  for (const node of forward) for (const output of node.output) producers.set(output, node);

  // Tensors through which a change of `wrt` can reach the loss.
  const wanted = new Set<Value>(wrt);
  for (const node of forward)
    if (node.input.some((name) => wanted.has(name))) for (const name of node.output) wanted.add(name);

  const pending = new Map<Value, Value[]>([[loss, [b.scalar(1)]]]);
  const collect = (value: Value): Value | undefined => {
    const parts = pending.get(value);
    if (!parts) return undefined;
    const total = parts.length === 1 ? parts[0]! : b.op('Sum', parts);
    pending.set(value, [total]);
    return total;
  };

  for (const node of forward.reverse()) {
    if (!node.output.some((name) => wanted.has(name))) continue;
    const gradients = node.output.map(collect);
    if (gradients.every((gradient) => gradient === undefined)) continue;
    const rule = rules[node.opType];
    if (!rule || node.domain !== '')
      throw new TierwiseError(
        'MODEL_UNSUPPORTED',
        `${nodeLabel(node)}${node.domain ? ` of ${node.domain}` : ''} cannot be differentiated`,
        { node: node.name, op: node.opType },
      );
    const [dy] = gradients;
    if (!severalOutputs.has(node.opType) && (dy === undefined || gradients.filter(Boolean).length > 1))
      throw new TierwiseError(
        'MODEL_UNSUPPORTED',
        `${nodeLabel(node)} can be differentiated by its first output alone`,
        { node: node.name, op: node.opType },
      );
    rule({
      b,
      node,
      dy: dy ?? '',
      gradients,
      dims(value) {
        const type = known.get(value);
        if (!type)
          throw new TierwiseError('INTERNAL', `internal: no shape is known for ${value}`, { tensor: value });
        return type.dims;
      },
      wanted: (value) => wanted.has(value),
      give(value, gradient) {
        const parts = pending.get(value);
        if (parts) parts.push(gradient);
        else pending.set(value, [gradient]);
      },
      producer: (value) => producers.get(value),
      bounded: (value) => bounded.has(value),
      constant: (value) => known.get(value)?.values,
    });
  }
  return new Map(
    wrt.map((value) => {
      const gradient = collect(value);
      if (gradient === undefined)
        throw new TierwiseError('MODEL_UNSUPPORTED', `${loss} does not depend on ${value}`, {
          tensor: value,
        });
      return [value, gradient];
    }),
  );
}

function checkOpset(model: ModelProto): void {
  const version =
    model.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')?.version ?? 1n;
  if (version < leastOpset)
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      `a graph of ONNX opset ${version} cannot be differentiated; convert it to ${leastOpset} or later`,
      { opset: Number(version) },
    );
}
