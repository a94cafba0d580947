import { TierwiseError } from '@tierwise/core';
import type { ModelProto } from 'onnx-buf';
import { nodeLabel } from './check.ts';
import { isShape } from './dims.ts';
import { graphOf } from './flow.ts';
import { constantRules, knownProto } from './shapes/constant.ts';
import { elementwiseRules } from './shapes/elementwise.ts';
import { inputTypes, type ShapeOptions } from './shapes/inputs.ts';
import { layoutRules } from './shapes/layout.ts';
import { matrixRules } from './shapes/matrix.ts';
import { type Known, type Rule, scopeOf, type TensorType } from './shapes/scope.ts';
import { windowRules } from './shapes/window.ts';

export type { ShapeOptions } from './shapes/inputs.ts';
export type { TensorType } from './shapes/scope.ts';

/** One rule for each operator that is understood, by its name in the ONNX domain. */
const rules: ReadonlyMap<string, Rule> = new Map(
  Object.entries({ ...elementwiseRules, ...windowRules, ...matrixRules, ...layoutRules, ...constantRules }),
);

/**
 * Element type and concrete shape of every tensor of the model: inputs, initializers and what each node makes.
 * Small tensors that follow from shapes and constants are computed on the way, so that operators whose output
 * shape depends on them are understood. O(nodes).
 * @throws TierwiseError MODEL_UNSUPPORTED on an operator without a rule or a shape that depends on data;
 *   MODEL_CORRUPT when shapes do not fit each other; TENSOR_INVALID when an input dimension is still open
 */
export function inferShapes(model: ModelProto, options: ShapeOptions = {}): Map<string, TensorType> {
  return new Map([...inferKnown(model, options)].map(([name, { dtype, dims }]) => [name, { dtype, dims }]));
}

/** Like `inferShapes`, with the elements of small tensors that follow from the model alone. */
export function inferKnown(model: ModelProto, options: ShapeOptions = {}): Map<string, Known> {
  const graph = graphOf(model);
  const opset = Number(
    model.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')?.version ?? 1n,
  );
  const known = new Map<string, Known>();
  for (const proto of graph.initializer) known.set(proto.name, knownProto(proto));
  for (const [name, type] of inputTypes(graph.input, known, options)) known.set(name, type);
  for (const node of graph.node) {
    const rule = node.domain === '' || node.domain === 'ai.onnx' ? rules.get(node.opType) : undefined;
    if (rule === undefined) {
      throw new TierwiseError(
        'MODEL_UNSUPPORTED',
        `${nodeLabel(node)}: the operator ${[node.domain, node.opType].filter(Boolean).join('.')} is not supported`,
        { node: node.name, op: node.opType },
      );
    }
    const scope = scopeOf(node, opset, known);
    const outputs = rule(scope);
    for (const [i, name] of node.output.entries()) {
      if (name === '') continue;
      const output = outputs[i] ?? scope.fail(`it has no output ${i}`);
      if (!isShape(output.dims))
        scope.fail(`its output "${name}" would have the shape [${output.dims.slice(0, 8)}]`);
      known.set(name, output);
    }
  }
  return known;
}
