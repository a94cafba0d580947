import { isTierwiseError, type Tensor, TierwiseError } from '@tierwise/core';
import type { Engine, LoadedSection, RunOptions, Section } from '@tierwise/plan';
import { throwIfAborted } from '@tierwise/runtime';
import type { InferenceSession, TypedTensor } from 'onnxruntime-web/wasm';

type OrtWeb = typeof import('onnxruntime-web/wasm');

/** Where ONNX Runtime gets its own files, and how it runs. */
export interface OnnxEngineOptions {
  /** Folder of ONNX Runtime's own .wasm and .mjs files; by default beside its script. */
  readonly wasmPaths?: string | undefined;
}

/**
 * ONNX files on the device: onnxruntime-web on one WebAssembly thread. Its code, 3 MB compressed, is fetched when
 * the first section is loaded. A section takes all inputs of its file and gives any of the file's outputs; a page
 * cannot cut a graph, so other tensors must have been cut out before.
 */
export function onnxEngine({ wasmPaths }: OnnxEngineOptions = {}): Engine {
  let library: Promise<OrtWeb> | undefined;

  async function open(): Promise<OrtWeb> {
    const ort = await import('onnxruntime-web/wasm');
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = 'fatal';
    if (wasmPaths !== undefined) ort.env.wasm.wasmPaths = wasmPaths;
    return ort;
  }

  return {
    name: 'onnx',
    async load(artifact, section, options) {
      library ??= open().catch((cause: unknown) => {
        library = undefined;
        throw new TierwiseError(
          'ENGINE_MISSING',
          `onnxruntime-web cannot be loaded: ${cause}`,
          {},
          { cause },
        );
      });
      const ort = await library;
      throwIfAborted(options?.signal);
      let session: InferenceSession;
      try {
        session = await ort.InferenceSession.create(artifact, {
          executionProviders: ['wasm'],
          graphOptimizationLevel: 'all',
          logSeverityLevel: 4,
        });
      } catch (cause) {
        throw loadError(section, cause);
      }
      try {
        checkPorts(section, session);
      } catch (error) {
        await session.release();
        throw error;
      }
      return loadedSection(ort, session, section);
    },
  };
}

function loadedSection(ort: OrtWeb, session: InferenceSession, section: Section): LoadedSection {
  const wanted = section.outputs.map((port) => port.tensor);
  /** The runs under way and waiting, one after the other: a session runs one at a time. */
  let queue: Promise<unknown> = Promise.resolve();
  let disposed: Promise<void> | undefined;

  async function compute(inputs: ReadonlyMap<string, Tensor>, queueMs: number, options: RunOptions) {
    throwIfAborted(options.signal);
    const began = performance.now();
    const feeds: Record<string, TypedTensor<'float32'>> = {};
    for (const port of section.inputs) {
      const { data, dims } = checkInput(section, port, inputs.get(port.tensor));
      feeds[port.tensor] = new ort.Tensor('float32', data, dims);
    }
    const results = await session.run(feeds, wanted);
    const outputs = new Map(
      wanted.map((name): [string, Tensor] => [name, takeOutput(section, name, results[name])]),
    );
    options.onTimings?.({ queueMs, computeMs: performance.now() - began });
    return outputs;
  }

  return {
    async run(inputs, options = {}) {
      if (disposed !== undefined) {
        throw new TierwiseError('DISPOSED', `section ${section.id} has been disposed`);
      }
      const asked = performance.now();
      const mine = queue.then(() => compute(inputs, performance.now() - asked, options));
      queue = mine.catch(() => {});
      try {
        return await mine;
      } catch (cause) {
        if (isTierwiseError(cause)) throw cause;
        throw new TierwiseError('INTERNAL', `section ${section.id}: ${messageOf(cause)}`, {}, { cause });
      }
    },
    dispose() {
      disposed ??= queue.then(() => session.release());
      return disposed;
    },
  };
}

function checkPorts(section: Section, { inputNames, outputNames }: InferenceSession): void {
  const inputs = section.inputs.map((port) => port.tensor);
  const outputs = section.outputs.map((port) => port.tensor);
  const missing = outputs.find((name) => !outputNames.includes(name));
  if (missing === undefined && `${inputs.toSorted()}` === `${inputNames.toSorted()}`) return;
  throw new TierwiseError(
    'MODEL_UNSUPPORTED',
    `section ${section.id} goes from ${inputs} to ${outputs}, its file from ${inputNames} to ${outputNames}: cut the file first`,
    { section: section.id },
  );
}

function checkInput(
  section: Section,
  { tensor: name, dims }: Section['inputs'][number],
  found: Tensor | undefined,
): Tensor<'float32'> {
  const fits = found !== undefined && `${found.dims.slice(1)}` === `${dims.slice(1)}`;
  if (fits && found.data instanceof Float32Array) return found as Tensor<'float32'>;
  const what = found === undefined ? 'is missing' : `is ${found.dtype} [${found.dims}]`;
  throw new TierwiseError(
    'TENSOR_INVALID',
    `section ${section.id}: input ${name} ${what}; expected float32 [${dims}]`,
    { section: section.id, tensor: name },
  );
}

function takeOutput(
  section: Section,
  name: string,
  found: InferenceSession.OnnxValueMapType[string] | undefined,
): Tensor<'float32'> {
  if (!(found?.data instanceof Float32Array)) {
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      `section ${section.id}: output ${name} is ${found?.type}, only float32 is taken`,
      { section: section.id, tensor: name },
    );
  }
  return { dtype: 'float32', dims: found.dims, data: found.data };
}

function loadError(section: Section, cause: unknown): TierwiseError {
  const message = messageOf(cause);
  const code = /no available backend|initWasm/i.test(message)
    ? 'ENGINE_MISSING'
    : /not a registered function\/op|No Op registered|NOT_IMPLEMENTED|Could not find an implementation|Unsupported model IR|under development|No opset import/i.test(
          message,
        )
      ? 'MODEL_UNSUPPORTED'
      : 'MODEL_CORRUPT';
  return new TierwiseError(code, `section ${section.id}: ${message}`, { section: section.id }, { cause });
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
