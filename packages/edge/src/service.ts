import { TierwiseError, toTierwiseError } from '@tierwise/core';
import { type Runtime, replyMessage } from '@tierwise/runtime';
import type { InferRequest, InferResponse } from '@tierwise/wire';
import { joinReplies, samplesOf } from './batch.ts';
import type { Metrics, TransportName } from './metrics.ts';
import type { ServedModel } from './models.ts';

/** How a request came in. */
export interface Arrival {
  readonly transport: TransportName;
  /** The model, where the address names it; else the request does. */
  readonly modelName?: string;
  readonly uplinkBytes: number;
  /** Aborted by the transport when nobody waits for the answer any more, and by the service when it ends. */
  readonly abort: AbortController;
}

/** Answers inference requests of both transports, counts them, and can be drained. */
export class InferenceService {
  readonly models: ReadonlyMap<string, ServedModel>;
  readonly #runtime: Runtime;
  readonly #metrics: Metrics;
  readonly #active = new Map<Promise<unknown>, AbortController>();
  #draining = false;

  constructor(models: readonly ServedModel[], runtime: Runtime, metrics: Metrics) {
    this.models = new Map(models.map((model) => [model.name, model]));
    this.#runtime = runtime;
    this.#metrics = metrics;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** @throws TierwiseError MODEL_UNKNOWN, with the words that clients of the protocol look for */
  model(name: string): ServedModel {
    const model = this.models.get(name);
    if (model !== undefined) return model;
    const shown = name.slice(0, 128);
    throw new TierwiseError('MODEL_UNKNOWN', `Request for unknown model: '${shown}' is not found`, {
      model: shown,
    });
  }

  /**
   * Runs every sample of the request and answers with the scores of all. `parse` gives the request, so that what
   * cannot be read is counted, too.
   * @throws TierwiseError what parse and runtime throw; MODEL_UNKNOWN, REQUEST_INVALID, DRAINING
   */
  async answer(parse: () => InferRequest, arrival: Arrival): Promise<InferResponse> {
    const work = this.#answer(parse, arrival);
    this.#active.set(work, arrival.abort);
    try {
      return await work;
    } finally {
      this.#active.delete(work);
    }
  }

  async #answer(parse: () => InferRequest, arrival: Arrival): Promise<InferResponse> {
    const { transport, modelName, uplinkBytes } = arrival;
    const start = performance.now();
    let model: ServedModel | undefined;
    const count = (outcome: string, timings?: { queueMs: number; computeMs: number }): void => {
      const requestMs = performance.now() - start;
      this.#metrics.observe({
        model: model?.name ?? '',
        transport,
        outcome,
        requestMs,
        uplinkBytes,
        ...(timings === undefined ? {} : { timings }),
      });
      if (model === undefined) return;
      const { stats } = model;
      stats.lastRequest = Date.now();
      if (timings === undefined) {
        stats.failures++;
        return;
      }
      stats.requests++;
      stats.requestMs += requestMs;
      stats.queueMs += timings.queueMs;
      stats.computeMs += timings.computeMs;
    };
    try {
      if (this.#draining) throw draining();
      if (modelName !== undefined) model = this.model(modelName);
      const request = parse();
      model ??= this.model(request.modelName);
      const response = await this.#run(model, { ...request, modelName: model.name }, arrival.abort.signal);
      const { queueMs, computeMs } = response.parameters;
      count('ok', { queueMs: Number(queueMs), computeMs: Number(computeMs) });
      return response;
    } catch (thrown) {
      const error = toTierwiseError(thrown);
      count(error.code);
      throw error;
    }
  }

  async #run(model: ServedModel, request: InferRequest, signal: AbortSignal): Promise<InferResponse> {
    const { plan, section, scores } = model;
    checkRequest(model, request);
    const samples = samplesOf(model, request);
    const replies: InferResponse[] = [];
    // One after the other: a large batch then shares the workers with everybody else's requests.
    for (const sample of samples) {
      const outcome = await this.#runtime.serve(plan, section.id, sample, { signal });
      replies.push(replyMessage(plan, outcome, request));
    }
    model.stats.samples += samples.length;
    const response = joinReplies(replies, scores);
    return { ...response, parameters: { ...response.parameters, plan: plan.id, section: section.id } };
  }

  /** Refuses new requests and waits for those under way, at most `deadlineMs`; the rest then fails with DRAINING. */
  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true;
    const timer = setTimeout(() => {
      for (const abort of this.#active.values()) abort.abort(draining());
    }, deadlineMs);
    await Promise.allSettled(this.#active.keys());
    clearTimeout(timer);
  }
}

function draining(): TierwiseError {
  return new TierwiseError('DRAINING', 'this edge is going down');
}

/** What the request says besides its inputs: the Plan and section it believes in, and the outputs it wants. */
function checkRequest({ name, plan, section, scores }: ServedModel, request: InferRequest): void {
  const { plan: planId, section: sectionId } = request.parameters;
  if (planId !== undefined && planId !== plan.id) {
    throw new TierwiseError(
      'ARTIFACT_UNKNOWN',
      `model ${name} serves Plan ${plan.id} here, the request belongs to ${String(planId).slice(0, 128)}`,
      { model: name, plan: plan.id },
    );
  }
  if (sectionId !== undefined && sectionId !== section.id) {
    throw new TierwiseError(
      'PLAN_INVALID',
      `model ${name} is section ${section.id} of Plan ${plan.id}, not ${String(sectionId).slice(0, 128)}`,
      { model: name, section: section.id },
    );
  }
  const unknown = request.outputs.find((output) => output.name !== scores.tensor);
  if (unknown !== undefined) {
    throw new TierwiseError(
      'REQUEST_INVALID',
      `model ${name} has no output "${unknown.name}"; it gives "${scores.tensor}"`,
      { model: name, tensor: unknown.name },
    );
  }
}
