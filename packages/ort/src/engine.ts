import { isTierwiseError, type Tensor, TierwiseError } from '@tierwise/core';
import { extract, readOnnx, writeOnnx } from '@tierwise/graph';
import type { Engine, Section } from '@tierwise/plan';
import { OrtPool, type PoolOptions } from './pool.ts';

/** How many workers there are, and how many threads each has. */
export interface OnnxEngineOptions extends PoolOptions {
  /** Threads inside one operator, for each worker; default 1. */
  readonly threads?: number;
}

/** The engine of ONNX artifacts, and what it holds: worker threads, started with the first section. */
export interface OnnxEngine extends Engine {
  readonly name: 'onnx';
  /** Runs that wait for a worker, and runs that compute. */
  readonly queued: number;
  readonly running: number;
  /** Ends the workers, and with them every loaded section. Idempotent. */
  dispose(): Promise<void>;
}

/**
 * Runs sections of ONNX artifacts with ONNX Runtime in worker threads. A section may name any tensors of the
 * graph: the piece between them is cut out before it is loaded. A `run` keeps to its section's dims but for the
 * first, the batch, which is the same for all inputs.
 * @throws TierwiseError from `load`: MODEL_CORRUPT | MODEL_UNSUPPORTED, PLAN_INVALID when the graph has no such
 *   piece; from `run`: TENSOR_INVALID, OVERLOADED, CANCELLED, DISPOSED, INTERNAL
 */
export function onnxEngine(options: OnnxEngineOptions = {}): OnnxEngine {
  const pool = new OrtPool(options);
  return {
    name: 'onnx',
    get queued() {
      return pool.queued;
    },
    get running() {
      return pool.running;
    },
    async load(artifact, section) {
      const outputs = section.outputs.map((port) => port.tensor);
      const threads = options.threads ?? 1;
      const model = await pool.open(
        piece(artifact, section),
        { threads },
        { inputs: section.inputs, outputs },
      );
      return {
        run: async (inputs, runOptions) => model.run(checkInputs(section, inputs), outputs, runOptions),
        dispose: () => model.dispose(),
      };
    },
    dispose: () => pool.dispose(),
  };
}

/** The ONNX bytes of the section: the artifact's own when it takes and gives exactly what the section does. */
function piece(artifact: Uint8Array, section: Section): Uint8Array {
  const where = `artifact of section "${section.id}"`;
  const model = readOnnx(artifact, where);
  const inputs = section.inputs.map((port) => port.tensor);
  const outputs = section.outputs.map((port) => port.tensor);
  const weights = new Set(model.graph?.initializer.map(({ name }) => name));
  const graphInputs = model.graph?.input.map(({ name }) => name).filter((name) => !weights.has(name)) ?? [];
  if (sameNames(graphInputs, inputs) && outputs.every((name) => hasOutput(model, name))) return artifact;
  try {
    return writeOnnx(extract(model, { inputs, outputs }));
  } catch (error) {
    if (!isTierwiseError(error, 'TENSOR_INVALID')) throw error;
    throw new TierwiseError(
      'PLAN_INVALID',
      `${where}: ${error.message}`,
      { section: section.id },
      { cause: error },
    );
  }
}

function hasOutput(model: ReturnType<typeof readOnnx>, name: string): boolean {
  return model.graph?.output.some((output) => output.name === name) === true;
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name) => b.includes(name));
}

/** The section's own inputs among `inputs`, checked before they take a place in the queue. */
function checkInputs(section: Section, inputs: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const own = new Map<string, Tensor>();
  let batch: number | undefined;
  for (const { tensor: name, dims } of section.inputs) {
    const found = inputs.get(name);
    const expected = `[n, ${dims.slice(1).join(', ')}]`;
    if (found === undefined) {
      throw new TierwiseError('TENSOR_INVALID', `input "${name}" of section "${section.id}" is missing`, {
        tensor: name,
      });
    }
    batch ??= found.dims[0];
    if (found.dims[0] !== batch || `${found.dims.slice(1)}` !== `${dims.slice(1)}`) {
      throw new TierwiseError(
        'TENSOR_INVALID',
        `input "${name}" of section "${section.id}" is [${found.dims}], expected ${expected} with one n for all inputs`,
        { tensor: name, dims: found.dims },
      );
    }
    own.set(name, found);
  }
  return own;
}
