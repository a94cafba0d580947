import { TierwiseError, tensor } from '@tierwise/core';
import type { Plan } from '@tierwise/plan';
import type { InferParameters, InferRequest, InferResponse } from '@tierwise/wire';
import type { Outcome } from './outcome.ts';
import type { TransportReply, TransportRequest } from './transport.ts';

/*
 * Transport requests as messages of the Open Inference Protocol: what is not a tensor travels as parameters.
 *   request    plan      id of the Plan             section    id of the section within it
 *   response   exit      id of the exit that answered
 *              queueMs   computeMs                  what the sample took there, ms
 */

/** The message that carries `request`; the reply brings `id` back. */
export function requestMessage(
  { model, section, plan, tensors }: Pick<TransportRequest, 'model' | 'section' | 'plan' | 'tensors'>,
  id: string,
): InferRequest {
  return {
    kind: 'request',
    modelName: model,
    id,
    parameters: { plan, section },
    inputs: tensors,
    outputs: [],
  };
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
