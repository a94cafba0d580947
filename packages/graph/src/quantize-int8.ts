import { create } from '@bufbuild/protobuf';
import { type Tensor, TierwiseError, tensor } from '@tierwise/core';
import { type ModelProto, type NodeProto, NodeProtoSchema } from 'onnx-buf';
import { attrInt, intAttribute } from './attributes.ts';
import { changed } from './changed.ts';
import { foldAffine } from './fold.ts';
import { inferShapes } from './shapes.ts';
import { fromTensorProto, toTensorProto } from './tensors.ts';

/** Least and largest value that a tensor takes, as a calibration run saw it. */
export interface Range {
  readonly lo: number;
  readonly hi: number;
}

/**
 * Tensors whose ranges `quantizeInt8` needs, for a calibration run to look at: every float32 activation that an
 * operator reads or the graph gives.
 */
export function calibrationTensors(model: ModelProto): string[] {
  return activations(foldAffine(model)).map(({ name }) => name);
}

/**
 * `model` with 8-bit weights and activations in QuantizeLinear/DequantizeLinear form, as ONNX Runtime's own
 * quantiser writes it and its kernels fuse it: weights int8, symmetric, a scale per output channel; activations
 * uint8 with a zero point; biases int32. Batch norms are folded first. The graph's outputs stay float32.
 * @throws TierwiseError TENSOR_INVALID when a range is missing or not finite
 */
export function quantizeInt8(model: ModelProto, ranges: ReadonlyMap<string, Range>): ModelProto {
  const folded = foldAffine(model);
  const graph = folded.graph!;
  const initializer = [...graph.initializer];
  const store = (name: string, data: Tensor): string => {
    initializer.push(toTensorProto(name, data));
    return name;
  };
  const scalar = (name: string, value: number) => store(name, tensor('float32', [], Float32Array.of(value)));
  const node = (opType: string, input: string[], output: string, axis?: number): NodeProto =>
    create(NodeProtoSchema, {
      opType,
      name: `${opType}_${output}`,
      input,
      output: [output],
      attribute: axis === undefined ? [] : [intAttribute('axis', axis)],
    });

  const replaced = new Map<string, { name: string; scale: number }>();
  const pairs = new Map<string, NodeProto[]>();
  for (const { name, isInput } of activations(folded)) {
    if (!isInput && graph.output.some((output) => output.name === name)) continue;
    const { scale, zero } = quantization(name, ranges);
    const point = [
      scalar(`${name}.scale`, scale),
      store(`${name}.zero`, tensor('uint8', [], Uint8Array.of(zero))),
    ];
    const made = [
      node('QuantizeLinear', [name, ...point], `${name}.q`),
      node('DequantizeLinear', [`${name}.q`, ...point], `${name}.dq`),
    ];
    pairs.set(name, made);
    replaced.set(name, { name: `${name}.dq`, scale });
  }

  const nodes: NodeProto[] = graph.input.flatMap(({ name }) => pairs.get(name) ?? []);
  for (const original of graph.node) {
    let input = original.input.map((name) => replaced.get(name)?.name ?? name);
    const weights = graph.initializer.find(({ name }) => name === original.input[1]);
    const source = replaced.get(original.input[0]!);
    if (
      source &&
      weights &&
      (original.opType === 'Conv' || (original.opType === 'Gemm' && attrInt(original, 'transB', 0) === 1))
    ) {
      const { values, scales } = symmetric(fromTensorProto(weights));
      const filters = scales.length;
      const stem = original.output[0]!;
      const scaleName = store(`${stem}.w.scale`, tensor('float32', [filters], scales));
      store(`${stem}.w.q`, values);
      const zeros = store(`${stem}.w.zero`, tensor('int8', [filters], new Int8Array(filters)));
      nodes.push(node('DequantizeLinear', [`${stem}.w.q`, scaleName, zeros], `${stem}.w`, 0));
      input = [input[0]!, `${stem}.w`];
      const bias = graph.initializer.find(({ name }) => name === original.input[2]);
      if (bias) {
        const biasScales = scales.map((s) => Math.fround(s * source.scale));
        const data = fromTensorProto(bias).data as Float32Array;
        store(
          `${stem}.b.q`,
          tensor(
            'int32',
            [filters],
            Int32Array.from(data, (b, k) => Math.round(b / biasScales[k]!)),
          ),
        );
        store(`${stem}.b.scale`, tensor('float32', [filters], biasScales));
        store(`${stem}.b.zero`, tensor('int32', [filters], new Int32Array(filters)));
        nodes.push(
          node('DequantizeLinear', [`${stem}.b.q`, `${stem}.b.scale`, `${stem}.b.zero`], `${stem}.b`, 0),
        );
        input.push(`${stem}.b`);
      }
    }
    nodes.push(changed(original, { input }), ...original.output.flatMap((name) => pairs.get(name) ?? []));
  }
  const used = new Set(nodes.flatMap((n) => n.input));
  return changed(folded, {
    graph: changed(graph, {
      node: nodes,
      initializer: initializer.filter(({ name }) => used.has(name)),
    }),
  });
}

/** Float32 tensors between operators; the output of a layer that only a Relu reads is fused with it and left out. */
function activations(model: ModelProto): { name: string; isInput: boolean }[] {
  const graph = model.graph!;
  const types = inferShapes(model);
  const constants = new Set(graph.initializer.map(({ name }) => name));
  const takers = (name: string) => graph.node.filter((node) => node.input.includes(name));
  const isFloat = (name: string) => types.get(name)?.dtype === 'float32' && !constants.has(name);
  const fused = (node: NodeProto) =>
    ['Conv', 'Gemm', 'Add'].includes(node.opType) &&
    takers(node.output[0]!).every((taker) => taker.opType === 'Relu');
  return [
    ...graph.input.map(({ name }) => ({ name, isInput: true })),
    ...graph.node
      .filter((node) => !fused(node))
      .flatMap((node) => node.output.slice(0, 1).map((name) => ({ name, isInput: false }))),
  ].filter(({ name }) => isFloat(name));
}

function quantization(name: string, ranges: ReadonlyMap<string, Range>): { scale: number; zero: number } {
  const range = ranges.get(name);
  if (!range || !Number.isFinite(range.lo) || !Number.isFinite(range.hi) || range.lo > range.hi)
    throw new TierwiseError('TENSOR_INVALID', `no range is known for "${name}"`, { tensor: name });
  // 0 must have a code of its own: padding is 0.
  const [lo, hi] = [Math.min(0, range.lo), Math.max(0, range.hi)];
  const scale = Math.fround(Math.max(hi - lo, 1e-6) / 255);
  return { scale, zero: Math.min(255, Math.max(0, Math.round(-lo / scale))) };
}

/** int8 values in -127..127 and a scale for each output channel (axis 0). */
function symmetric(weights: Tensor): { values: Tensor; scales: Float32Array<ArrayBuffer> } {
  const data = weights.data as Float32Array;
  const filters = weights.dims[0]!;
  const taps = data.length / filters;
  const scales = new Float32Array(filters);
  const values = new Int8Array(data.length);
  for (let k = 0; k < filters; k++) {
    let most = 1e-12;
    for (let i = k * taps; i < (k + 1) * taps; i++) most = Math.max(most, Math.abs(data[i]!));
    scales[k] = most / 127;
    for (let i = k * taps; i < (k + 1) * taps; i++) values[i] = Math.round(data[i]! / scales[k]!);
  }
  return { values: tensor('int8', weights.dims, values), scales };
}
