/**
 * Writes ONNX node by node. A builder holds one graph and gives every tensor a fresh name, so that networks,
 * gradients and optimisers are all written as expressions: `b.add(b.mul(x, scale), bias)`.
 */
import { create } from '@bufbuild/protobuf';
import { type DType, type Tensor, TierwiseError, tensor } from '@tierwise/core';
import {
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
} from 'onnx-buf';
import {
  floatAttribute,
  intAttribute,
  intsAttribute,
  stringAttribute,
  tensorAttribute,
} from './attributes.ts';
import { toTensorProto } from './tensors.ts';
import { valueInfo } from './value-info.ts';

/** Name of a tensor in the graph being built. */
export type Value = string;

/** Whole numbers become INT and lists INTS; a real number is written `{ float: 0.5 }` because 1 could be either. */
export type AttributeValue =
  | number
  | readonly number[]
  | string
  | { readonly float: number }
  | { readonly tensor: Tensor };

/** A dimension of a graph input or output: a size, or the name of one that varies. */
export type Dim = number | string;

/** Operator set of every graph that this builder starts. */
export const opset = 21;

function attribute(name: string, value: AttributeValue) {
  if (typeof value === 'number') return intAttribute(name, value);
  if (typeof value === 'string') return stringAttribute(name, value);
  if ('float' in value) return floatAttribute(name, value.float);
  if ('tensor' in value) return tensorAttribute(name, value.tensor);
  return intsAttribute(name, value);
}

/** Writes a graph node by node: each method adds one and gives its output, with its shape inferred. */
export class GraphBuilder {
  /** The model under construction; every method appends to it. */
  readonly model: ModelProto;
  readonly #used = new Set<string>();
  readonly #counters = new Map<string, number>();
  readonly #constants = new Map<string, Value>();

  /** Starts an empty graph, or goes on with `model`, which is then changed in place. */
  constructor(nameOrModel: string | ModelProto) {
    if (typeof nameOrModel === 'string') {
      this.model = create(ModelProtoSchema, {
        irVersion: 10n,
        producerName: 'tierwise',
        opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(opset) })],
        graph: create(GraphProtoSchema, { name: nameOrModel }),
      });
    } else {
      this.model = nameOrModel;
      const graph = this.graph;
      for (const { name } of [...graph.input, ...graph.initializer]) this.#used.add(name);
      for (const node of graph.node) {
        this.#used.add(node.name);
        for (const name of node.output) this.#used.add(name);
      }
    }
  }

  get graph() {
    if (!this.model.graph) throw new TierwiseError('MODEL_CORRUPT', 'the model has no graph');
    return this.model.graph;
  }

  /** A name that nothing in the graph has yet: `hint`, or `hint_2`, `hint_3`, … */
  fresh(hint: string): string {
    let n = this.#counters.get(hint) ?? 0;
    let name: string;
    do name = ++n === 1 ? hint : `${hint}_${n}`;
    while (this.#used.has(name));
    this.#counters.set(hint, n);
    this.#used.add(name);
    return name;
  }

  #claim(name: string): string {
    if (this.#used.has(name))
      throw new TierwiseError('MODEL_UNSUPPORTED', `the graph already has a tensor named ${name}`, { name });
    this.#used.add(name);
    return name;
  }

  input(name: string, dtype: DType, dims: readonly Dim[]): Value {
    this.graph.input.push(valueInfo(this.#claim(name), dtype, dims));
    return name;
  }

  /** Declares a graph output. With another `name` than the value's own, an Identity node renames it. */
  output(value: Value, dtype: DType, dims: readonly Dim[], name: string = value): Value {
    if (name !== value)
      this.graph.node.push(
        create(NodeProtoSchema, {
          opType: 'Identity',
          name: this.fresh(`Identity_${name}`),
          input: [value],
          output: [this.#claim(name)],
        }),
      );
    this.graph.output.push(valueInfo(name, dtype, dims));
    return name;
  }

  /** A named constant kept with the model, such as a weight. */
  initializer(name: string, data: Tensor): Value {
    this.graph.initializer.push(toTensorProto(this.#claim(name), data));
    return name;
  }

  /** A float32 scalar. Equal constants are shared. */
  scalar(value: number): Value {
    return this.#constant(`scalar:${value}`, 'c', () => tensor('float32', [], Float32Array.of(value)));
  }

  /** An int64 vector, as Reshape, Slice and reductions take. Equal constants are shared. */
  ints(...values: readonly number[]): Value {
    return this.#constant(`ints:${values}`, 'i', () =>
      tensor('int64', [values.length], BigInt64Array.from(values, BigInt)),
    );
  }

  #constant(key: string, hint: string, make: () => Tensor): Value {
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const name = this.fresh(hint);
    this.graph.initializer.push(toTensorProto(name, make()));
    this.#constants.set(key, name);
    return name;
  }

  /**
   * Appends a node and returns its first output. `name` fixes the first output's name; otherwise one is made
   * from the operator. An empty string among `inputs` leaves out an optional input.
   */
  op(
    opType: string,
    inputs: readonly Value[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    name?: string,
  ): Value {
    return this.opN(opType, inputs, 1, attributes, name)[0]!;
  }

  /** Like `op` for a node with `outputs` outputs. */
  opN(
    opType: string,
    inputs: readonly Value[],
    outputs: number,
    attributes: Readonly<Record<string, AttributeValue>> = {},
    name?: string,
  ): Value[] {
    const first = name === undefined ? this.fresh(opType.toLowerCase()) : this.#claim(name);
    const names = [first, ...Array.from({ length: outputs - 1 }, (_, i) => this.fresh(`${first}.${i + 1}`))];
    const node: NodeProto = create(NodeProtoSchema, {
      opType,
      name: this.fresh(`${opType}_${first}`),
      input: [...inputs],
      output: names,
      attribute: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
    });
    this.graph.node.push(node);
    return names;
  }

  add = (a: Value, b: Value, name?: string): Value => this.op('Add', [a, b], {}, name);
  sub = (a: Value, b: Value, name?: string): Value => this.op('Sub', [a, b], {}, name);
  mul = (a: Value, b: Value, name?: string): Value => this.op('Mul', [a, b], {}, name);
  div = (a: Value, b: Value, name?: string): Value => this.op('Div', [a, b], {}, name);
  neg = (a: Value): Value => this.op('Neg', [a]);
  sqrt = (a: Value): Value => this.op('Sqrt', [a]);
  abs = (a: Value): Value => this.op('Abs', [a]);
  relu = (a: Value, name?: string): Value => this.op('Relu', [a], {}, name);
  reshape = (a: Value, dims: readonly number[]): Value => this.op('Reshape', [a, this.ints(...dims)]);
  transpose = (a: Value, perm: readonly number[]): Value => this.op('Transpose', [a], { perm });
  concat = (values: readonly Value[], axis: number): Value => this.op('Concat', values, { axis });
  gemm = (
    a: Value,
    b: Value,
    options: { transA?: 0 | 1; transB?: 0 | 1; c?: Value } = {},
    name?: string,
  ): Value =>
    this.op(
      'Gemm',
      options.c === undefined ? [a, b] : [a, b, options.c],
      { transA: options.transA ?? 0, transB: options.transB ?? 0 },
      name,
    );
  sum = (a: Value, axes: readonly number[], keepdims: 0 | 1 = 0): Value =>
    this.op('ReduceSum', [a, this.ints(...axes)], { keepdims });
  mean = (a: Value, axes: readonly number[], keepdims: 0 | 1 = 0): Value =>
    this.op('ReduceMean', [a, this.ints(...axes)], { keepdims });
  slice = (
    a: Value,
    range: {
      starts: readonly number[];
      ends: readonly number[];
      axes: readonly number[];
      steps?: readonly number[];
    },
  ): Value =>
    this.op('Slice', [
      a,
      this.ints(...range.starts),
      this.ints(...range.ends),
      this.ints(...range.axes),
      this.ints(...(range.steps ?? range.axes.map(() => 1))),
    ]);

  /** +1 where x >= 0, else -1: ONNX Sign gives 0 at 0, which one bit cannot hold. Differentiated straight through. */
  sign(x: Value, name?: string): Value {
    return this.op(
      'Where',
      [this.op('GreaterOrEqual', [x, this.scalar(0)]), this.scalar(1), this.scalar(-1)],
      {},
      name,
    );
  }
}
