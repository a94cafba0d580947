import { argmax, TierwiseError, toTierwiseError } from '@tierwise/core';
import { replyMessage, serve } from '@tierwise/runtime';
import type { InferRequest, InferResponse } from '@tierwise/wire';
import { Answers, nameOf } from './answers.ts';
import { joinReplies, samplesOf } from './batch.ts';
import type { Library } from './library.ts';
import type { Metrics, TransportName } from './metrics.ts';
import type { ServedModel } from './models.ts';
import { type RequestParameters, readParameters } from './parameters.ts';

/** How a request came in. */
export interface Arrival {
  readonly transport: TransportName;
  /** The model and its version, where the address names them; else the request does. */
  readonly modelName?: string | undefined;
  readonly version?: string | undefined;
  readonly uplinkBytes: number;
  /** Aborted by the transport when nobody waits for the answer any more, and by the service when its time is over. */
  readonly abort: AbortController;
}

export interface ServiceOptions {
  readonly library: Library;
  readonly metrics: Metrics;
  /** Samples of one request that are given to the workers at once. */
  readonly maxBatch: number;
  /** Whether devices may send samples that they are sure of. */
  readonly audit: boolean;
}

/** Answers inference requests of both transports, counts them, and can be drained. */
export class InferenceService {
  readonly #options: ServiceOptions;
  readonly #answers = new Answers();
  readonly #active = new Map<Promise<unknown>, AbortController>();
  #draining = false;

  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /**
   * Runs every sample of the request and answers with the scores of all. `parse` gives the request, so that what
   * cannot be read is counted, too.
   * @throws TierwiseError what parse and runtime throw; MODEL_UNKNOWN, ARTIFACT_UNKNOWN, REQUEST_INVALID, DRAINING,
   *   TIMEOUT when the request's deadline passes first
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
    const { library, metrics } = this.#options;
    const { transport, modelName, version, uplinkBytes } = arrival;
    const start = performance.now();
    let model: ServedModel | undefined;
    const count = (outcome: string, timings?: { queueMs: number; computeMs: number }): void => {
      const requestMs = performance.now() - start;
      metrics.observe({
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
      if (timings !== undefined) {
        stats.requests++;
        stats.requestMs += requestMs;
        stats.queueMs += timings.queueMs;
        stats.computeMs += timings.computeMs;
      } else if (outcome !== 'repeated') stats.failures++;
    };
    try {
      if (this.#draining) throw draining();
      // Any version will do to count by, should the request not be readable.
      if (modelName !== undefined) model = library.versionsOf(modelName)[0] ?? library.model(modelName);
      const request = parse();
      const told = readParameters(request);
      model = library.model(modelName ?? request.modelName, { plan: told.plan, version });
      const { response, repeated } = await this.#once(model, request, told, arrival.abort);
      const queueMs = Number(response.parameters['queueMs']);
      const computeMs = Number(response.parameters['computeMs']);
      if (repeated) count('repeated');
      else {
        count('ok', { queueMs, computeMs });
        this.#tell(model, response, told, queueMs + computeMs);
      }
      return { ...response, id: request.id };
    } catch (thrown) {
      const error = toTierwiseError(thrown);
      count(error.code);
      throw error;
    }
  }

  /** The answer to a request with a key is computed once, and to any request before its deadline or not at all. */
  async #once(
    model: ServedModel,
    request: InferRequest,
    { key, section, deadlineMs, ...told }: RequestParameters,
    abort: AbortController,
  ): Promise<{ response: InferResponse; repeated: boolean }> {
    checkRequest(model, request, section);
    this.#checkAudit(model, told);
    const { signal } = abort;
    const timer =
      deadlineMs === undefined
        ? undefined
        : setTimeout(
            () => abort.abort(new TierwiseError('TIMEOUT', `no answer within the ${deadlineMs} ms allowed`)),
            Math.min(deadlineMs, 2 ** 31 - 1),
          );
    try {
      if (key === undefined) return { response: await this.#run(model, request, signal), repeated: false };
      const name = nameOf(key, model.plan.id, model.section.id, request);
      return await this.#answers.once(name, signal, (shared) => this.#run(model, request, shared));
    } finally {
      clearTimeout(timer);
    }
  }

  async #run(model: ServedModel, request: InferRequest, signal: AbortSignal): Promise<InferResponse> {
    const { name: modelName, plan, section, scores, runtime } = model;
    const samples = samplesOf(model, request);
    const replies: InferResponse[] = [];
    let queueMs = 0;
    let computeMs = 0;
    // A few at once, so that a large batch shares the workers with everybody else's requests.
    const { maxBatch } = this.#options;
    const failed = new AbortController();
    // Making such a signal takes long beside all else here, and most requests have one sample.
    const either = samples.length === 1 ? signal : AbortSignal.any([signal, failed.signal]);
    for (let at = 0; at < samples.length; at += maxBatch) {
      const together = await Promise.all(
        samples.slice(at, at + maxBatch).map(async (sample) => {
          const outcome = await serve(runtime, plan, section.id, sample, { signal: either });
          return { reply: replyMessage(outcome, { id: '', modelName }), step: outcome.path[0]! };
        }),
      ).catch((error: unknown) => {
        failed.abort();
        throw error;
      });
      replies.push(...together.map(({ reply }) => reply));
      const last = together.map(({ step }) => step).sort((a, b) => totalMs(b) - totalMs(a))[0]!;
      queueMs += last.queueMs;
      computeMs += last.computeMs;
    }
    model.stats.samples += samples.length;
    const response = joinReplies(replies, scores);
    const parameters = { ...response.parameters, queueMs, computeMs, plan: plan.id, section: section.id };
    return { ...response, parameters };
  }

  /** Counts what the device told, now that there is an answer to compare it with. */
  #tell(model: ServedModel, response: InferResponse, told: RequestParameters, tookMs: number): void {
    const { deviceExits, predictedMs, entropy, branchClass, auditShare: share } = told;
    const scores = response.outputs.get(model.scores.tensor)!;
    const samples = scores.dims[0]!;
    const mainClass = samples === 1 ? argmax(scores.data as Float32Array) : undefined;
    const knowsBranch = entropy !== undefined && branchClass !== undefined && mainClass !== undefined;
    if (knowsBranch && this.#options.audit) model.audit.add({ entropy, branchClass, mainClass, share });
    this.#options.metrics.tell({
      model: model.name,
      samples,
      deviceExits,
      ...(knowsBranch
        ? { branch: { entropy, agrees: branchClass === mainClass, audit: share !== undefined } }
        : {}),
      ...(predictedMs === undefined ? {} : { predictionRatio: tookMs / predictedMs }),
    });
  }

  #checkAudit({ name, manifest }: ServedModel, told: Partial<RequestParameters>): void {
    const { auditShare, entropy, branchClass } = told;
    if (branchClass !== undefined && branchClass >= manifest.labels.length) {
      throw new TierwiseError(
        'REQUEST_INVALID',
        `parameter branchClass: model ${name} has ${manifest.labels.length} classes, so not ${branchClass}`,
        { model: name, branchClass },
      );
    }
    if (auditShare === undefined) return;
    if (!this.#options.audit) {
      throw new TierwiseError('REQUEST_INVALID', 'this edge takes no audits: it was started without them');
    }
    if (entropy === undefined || branchClass === undefined) {
      throw new TierwiseError('REQUEST_INVALID', 'an audit needs the parameters entropy and branchClass');
    }
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

function totalMs({ queueMs, computeMs }: { queueMs: number; computeMs: number }): number {
  return queueMs + computeMs;
}

function draining(): TierwiseError {
  return new TierwiseError('DRAINING', 'this edge is going down');
}

/** The section that the request believes in and the outputs that it wants are those of the model. */
function checkRequest(
  { name, plan, section, scores }: ServedModel,
  { outputs }: InferRequest,
  sectionId: string | undefined,
): void {
  if (sectionId !== undefined && sectionId !== section.id) {
    throw new TierwiseError(
      'PLAN_INVALID',
      `model ${name} is section ${section.id} of Plan ${plan.id}, not ${sectionId.slice(0, 128)}`,
      { model: name, section: section.id },
    );
  }
  const unknown = outputs.find((output) => output.name !== scores.tensor);
  if (unknown !== undefined) {
    throw new TierwiseError(
      'REQUEST_INVALID',
      `model ${name} has no output "${unknown.name}"; it gives "${scores.tensor}"`,
      { model: name, tensor: unknown.name },
    );
  }
}
