import { TierwiseError } from '@tierwise/core';
import type { ModelProto, ValueInfoProto } from 'onnx-buf';
import { nodeLabel } from './check.ts';
import { constantRules, knownProto } from './shapes/constant.ts';
import { elementwiseRules } from './shapes/elementwise.ts';
import { layoutRules } from './shapes/layout.ts';
import { matrixRules } from './shapes/matrix.ts';
import { type Known, product, type Rule, scopeOf, type TensorType } from './shapes/scope.ts';
import { windowRules } from './shapes/window.ts';
import { dtypeOf } from './tensors.ts';

export type { TensorType } from './shapes/scope.ts';

/** One rule for each operator that is understood, by its name in the ONNX domain. */
const rules: ReadonlyMap<string, Rule> = new Map(
  Object.entries({ ...elementwiseRules, ...windowRules, ...matrixRules, ...layoutRules, ...constantRules }),
);

/**
 * `dims` gives sizes to symbolic dimensions by their name, `inputs` whole shapes to graph inputs and wins. The
 * first dimension of an input is 1 when nothing says otherwise, and so is every dimension of the same name.
 */
export interface ShapeOptions {
  readonly dims?: Readonly<Record<string, number>>;
  readonly inputs?: Readonly<Record<string, readonly number[]>>;
}

/**
 * Element type and concrete shape of every tensor of the model: inputs, initializers and what each node makes.
 * Small tensors that follow from shapes and constants are computed on the way, so that operators whose output
 * shape depends on them are understood. O(nodes).
 * @throws TierwiseError MODEL_UNSUPPORTED on an operator without a rule or a shape that depends on data;
 *   MODEL_CORRUPT when shapes do not fit each other; TENSOR_INVALID when an input dimension is still open
 */
export function inferShapes(model: ModelProto, options: ShapeOptions = {}): Map<string, TensorType> {
  const graph = model.graph;
  if (graph === undefined) throw new TierwiseError('MODEL_CORRUPT', 'the model holds no graph');
  const opset = Number(
    model.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')?.version ?? 1n,
  );
  const known = new Map<string, Known>();
  for (const proto of graph.initializer) known.set(proto.name, knownProto(proto));
  const inputs = graph.input.filter((input) => !known.has(input.name));
  const bound = boundDims(inputs, options);
  for (const input of inputs) known.set(input.name, inputType(input, bound, options));
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
      if (
        !output.dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0) ||
        !Number.isSafeInteger(product(output.dims))
      ) {
        scope.fail(`its output "${name}" would have the shape [${output.dims}]`);
      }
      known.set(name, output);
    }
  }
  return new Map([...known].map(([name, { dtype, dims }]) => [name, { dtype, dims }]));
}

/** Names of symbolic dimensions with their sizes: those given, and 1 for each that is some input's first. */
function boundDims(inputs: readonly ValueInfoProto[], options: ShapeOptions): ReadonlyMap<string, number> {
  const bound = new Map<string, number>();
  for (const input of inputs) {
    const first =
      input.type?.value.case === 'tensorType' ? input.type.value.value.shape?.dim[0]?.value : undefined;
    if (first?.case === 'dimParam') bound.set(first.value, 1);
  }
  for (const [name, size] of Object.entries(options.dims ?? {})) bound.set(name, size);
  return bound;
}

function inputType(input: ValueInfoProto, bound: ReadonlyMap<string, number>, options: ShapeOptions): Known {
  const label = `input "${input.name}"`;
  if (input.type?.value.case !== 'tensorType') {
    throw new TierwiseError('MODEL_UNSUPPORTED', `${label} is not a tensor`, { tensor: input.name });
  }
  const type = input.type.value.value;
  const dtype = dtypeOf(type.elemType, label);
  const given = options.inputs?.[input.name];
  const invalid = (reason: string): never => {
    throw new TierwiseError('TENSOR_INVALID', `${label} ${reason}`, { tensor: input.name });
  };
  if (type.shape === undefined && given === undefined) invalid('has no shape in the model: give it one');
  const declared = type.shape?.dim.map(({ value }) =>
    value.case === 'dimValue' && value.value > 0n ? Number(value.value) : value,
  );
  if (given !== undefined && declared !== undefined) {
    const fits =
      given.length === declared.length &&
      declared.every((dim, i) => typeof dim !== 'number' || dim === given[i]);
    if (!fits)
      invalid(
        `of shape [${declared.map((dim) => (typeof dim === 'number' ? dim : '?'))}] cannot be [${given}]`,
      );
  }
  const dims =
    given ??
    declared!.map((dim, i) => {
      if (typeof dim === 'number') return dim;
      const symbol = dim.case === 'dimParam' ? dim.value : '';
      return (
        bound.get(symbol) ??
        (i === 0 ? 1 : invalid(`has an open dimension ${i}${symbol && ` ("${symbol}")`}: give it a size`))
      );
    });
  if (!dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) invalid(`cannot have the shape [${dims}]`);
  return { dtype, dims };
}
