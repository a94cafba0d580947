import { type Tensor, TierwiseError, tensor } from '@tierwise/core';
import type { Plan } from '@tierwise/plan';
import { type InferParameters, type InferRequest, type InferResponse, pack } from '@tierwise/wire';
import type { Outcome } from './outcome.ts';
import type { TransportReply, TransportRequest } from './transport.ts';

/*
 * Transport requests as messages of the Open Inference Protocol: what is not a tensor travels as parameters.
 *   request    plan      id of the Plan             section    id of the section within it
 *   response   exit      id of the exit that answered
 *              queueMs   computeMs                  what the sample took there, ms
 */

/**
 * The message that carries `request`, each tensor packed as its codec says; the reply brings `id` back.
 * @throws TierwiseError as `pack` of @tierwise/wire does
 */
export function requestMessage(
  { model, section, plan, tensors }: Pick<TransportRequest, 'model' | 'section' | 'plan' | 'tensors'>,
  id: string,
): InferRequest {
  const inputs = new Map<string, Tensor>();
  for (const [name, { value, codec }] of tensors) {
    const bytes = pack(value as Tensor<'float32'>, codec);
    inputs.set(name, tensor('uint8', [bytes.length], bytes));
  }
  return { kind: 'request', modelName: model, id, parameters: { plan, section }, inputs, outputs: [] };
}

/** Bytes that the tensors of a request take as packed. */
export function packedBytes({ inputs }: InferRequest): number {
  return [...inputs.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
}

/** The message that answers a request with the same `id` and `modelName` by `outcome`: the scores and the times. */
export function replyMessage(
  plan: Plan,
  { exit, scores, path }: Outcome,
  { id, modelName }: Pick<InferRequest, 'id' | 'modelName'>,
): InferResponse {
  const name = plan.exits.find((candidate) => candidate.id === exit)!.scores;
  return {
    kind: 'response',
    modelName,
    id,
    parameters: {
      exit,
      queueMs: path.reduce((sum, step) => sum + step.queueMs, 0),
      computeMs: path.reduce((sum, step) => sum + step.computeMs, 0),
    },
    outputs: new Map([[name, tensor('float32', [1, scores.length], scores)]]),
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
