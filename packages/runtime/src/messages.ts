import { argmax, elementCount, type Tensor, TierwiseError, tensor } from '@tierwise/core';
import { type InferParameters, type InferRequest, type InferResponse, pack } from '@tierwise/wire';
import type { Outcome, Sent } from './outcome.ts';
import type { TransportReply, TransportRequest } from './transport.ts';

/*
 * Transport requests as messages of the Open Inference Protocol: what is not a tensor travels as parameters, which
 * docs/wire.md explains.
 */

/**
 * The message that carries `request`, each tensor packed as its link says; the reply brings `id` back. `parameters` is
 * what the transport itself has to say.
 * @throws TierwiseError as `pack` of @tierwise/wire does
 */
export function requestMessage(
  { plan, section, inputs, links, policies, judged }: Omit<TransportRequest, 'signal' | 'onSent'>,
  id: string,
  parameters: InferParameters = {},
): InferRequest {
  const packed = new Map<string, Tensor>();
  for (const { tensors, codec } of links) {
    for (const name of tensors) {
      const bytes = pack(inputs.get(name) as Tensor<'float32'>, policies.codec ?? codec);
      packed.set(name, tensor('uint8', [bytes.length], bytes));
    }
  }
  const { auditShare } = policies;
  const { edgeMs } = plan.predicted;
  return {
    kind: 'request',
    modelName: section.model,
    id,
    parameters: {
      plan: plan.id,
      section: section.id,
      ...(edgeMs > 0 ? { predictedMs: edgeMs } : {}),
      ...(judged === undefined ? {} : { entropy: judged.entropy, branchClass: argmax(judged.scores) }),
      ...(auditShare === undefined ? {} : { auditShare }),
      ...parameters,
    },
    inputs: packed,
    outputs: [],
  };
}

/** What leaves with `message`, which carries `request`. */
export function sentWith({ inputs }: Pick<TransportRequest, 'inputs'>, message: InferRequest): Sent {
  const names = [...message.inputs.keys()];
  const dims = names.map((name) => inputs.get(name)!.dims);
  const elements = dims.reduce((sum, one) => sum + elementCount(one), 0);
  return {
    tensor: names.join(', '),
    dims: dims.length === 1 ? dims[0]! : [elements],
    bytes: [...message.inputs.values()].reduce((sum, { data }) => sum + data.byteLength, 0),
    rawBytes: 4 * elements,
  };
}

/** The message that answers a request with the same `id` and `modelName` by `outcome`: the scores and the times. */
export function replyMessage(
  { answer: { exit, scores }, path }: Outcome,
  { id, modelName }: Pick<InferRequest, 'id' | 'modelName'>,
): InferResponse {
  return {
    kind: 'response',
    modelName,
    id,
    parameters: {
      exit: exit.id,
      queueMs: path.reduce((sum, step) => sum + step.queueMs, 0),
      computeMs: path.reduce((sum, step) => sum + step.computeMs, 0),
    },
    outputs: new Map([[exit.scores, tensor('float32', [1, scores.length], scores)]]),
  };
}

/**
 * What a response says; a server that reports no times counts as taking none.
 * @throws TierwiseError FRAME_CORRUPT when a time is not a number of milliseconds
 */
export function readReply({
  outputs,
  parameters,
}: InferResponse): Pick<TransportReply, 'tensors' | 'queueMs' | 'computeMs'> {
  return { tensors: outputs, queueMs: time(parameters, 'queueMs'), computeMs: time(parameters, 'computeMs') };
}

function time(parameters: InferParameters, name: string): number {
  const value = parameters[name] ?? 0;
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
  throw new TierwiseError(
    'FRAME_CORRUPT',
    `inference message: parameter ${name} is ${value}, not a time in ms`,
    {
      parameter: name,
    },
  );
}
