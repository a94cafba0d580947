import { elementCount, type Tensor, TierwiseError, tensor } from '@tierwise/core';
import type { Port } from '@tierwise/plan';
import type { InferRequest, InferResponse } from '@tierwise/wire';
import { isPacked, readPackedHeader, unpackPayload } from '@tierwise/wire';
import type { ServedModel } from './models.ts';

/** Samples that one request may carry; more would keep a worker from everybody else. */
export const maxBatch = 256;

/**
 * The samples of a request, each with every input of the model as float32 with batch 1. Inputs may be FP32
 * [n, ...] or one packed tensor of that shape. A packed shape is checked before memory is taken for it.
 * @throws TierwiseError TENSOR_INVALID | PACKED_CORRUPT | REQUEST_INVALID
 */
export function samplesOf(
  { name, inputs: ports }: Pick<ServedModel, 'name' | 'inputs'>,
  request: InferRequest,
): Map<string, Tensor>[] {
  for (const given of request.inputs.keys()) {
    if (!ports.some((port) => port.tensor === given)) {
      throw new TierwiseError(
        'TENSOR_INVALID',
        `model ${name} has no input "${given}"; it takes ${ports.map((port) => `"${port.tensor}"`).join(', ')}`,
        { model: name, tensor: given },
      );
    }
  }
  let samples: Map<string, Tensor>[] | undefined;
  for (const port of ports) {
    const whole = readInput(name, port, request.inputs.get(port.tensor));
    const n = whole.dims[0]!;
    samples ??= Array.from({ length: n }, () => new Map());
    if (samples.length !== n) {
      throw new TierwiseError(
        'TENSOR_INVALID',
        `input "${port.tensor}" of model ${name} holds ${n} samples, another input ${samples.length}`,
        { model: name, tensor: port.tensor },
      );
    }
    const size = elementCount(port.dims);
    for (const [i, sample] of samples.entries()) {
      sample.set(port.tensor, tensor('float32', port.dims, whole.data.subarray(i * size, (i + 1) * size)));
    }
  }
  return samples ?? [];
}

function readInput(model: string, port: Port, found: Tensor | undefined): Tensor<'float32'> {
  const name = port.tensor;
  const refuse = (what: string) =>
    new TierwiseError(
      'TENSOR_INVALID',
      `input "${name}" of model ${model} ${what}; it takes FP32 [n,${port.dims.slice(1)}] or one packed tensor of that shape`,
      { model, tensor: name },
    );
  if (found === undefined) throw refuse('is missing');
  const packed = isPacked(found) ? readPackedHeader(found.data) : undefined;
  const { dims } = packed ?? found;
  const [n = 0, ...rest] = dims;
  if (packed === undefined && !isFloat32(found)) throw refuse(`is ${found.dtype} [${dims}]`);
  if (n < 1 || dims.length !== port.dims.length || `${rest}` !== `${port.dims.slice(1)}`) {
    throw refuse(`has the shape [${dims}]`);
  }
  if (n > maxBatch) {
    throw new TierwiseError('REQUEST_INVALID', `${n} samples in one request; at most ${maxBatch}`, { model });
  }
  return packed === undefined ? (found as Tensor<'float32'>) : unpackPayload(packed);
}

function isFloat32(value: Tensor): value is Tensor<'float32'> {
  return value.dtype === 'float32';
}

/** One response for the replies to the samples of a request, in their order: scores [n, classes]. */
export function joinReplies(replies: readonly InferResponse[], scores: Port): InferResponse {
  const [first] = replies;
  if (first === undefined) throw new TierwiseError('INTERNAL', 'internal: a request without samples was run');
  if (replies.length === 1) return first;
  const classes = elementCount(scores.dims);
  const joined = new Float32Array(replies.length * classes);
  for (const [i, reply] of replies.entries()) {
    joined.set(reply.outputs.get(scores.tensor)!.data as Float32Array, i * classes);
  }
  return {
    ...first,
    outputs: new Map([[scores.tensor, tensor('float32', [replies.length, classes], joined)]]),
  };
}
