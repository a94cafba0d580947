import { type DType, type DTypeArrays, type Tensor, TierwiseError } from '@tierwise/core';
import ort from 'onnxruntime-node';

// The binding reads this once, at the first session. Failures reach the caller as errors that carry the same
// text, so nothing needs to be printed beside them.
ort.env.logLevel = 'fatal';

/** How ONNX Runtime prepares and runs one model. */
export interface SessionOptions {
  /** Threads inside one operator; default 1. A session of n threads keeps n - 1 threads of its own. */
  readonly threads?: number;
  /** How far ONNX Runtime rewrites the graph; default `all`. */
  readonly optimization?: 'disabled' | 'basic' | 'extended' | 'all';
}

/** An input or output of a graph. A dimension that the graph leaves open is given by its name ('' when it has none). */
export interface PortInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly (number | string)[];
}

/** Inputs of a run by name; all that the model has. */
export type Feeds = ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>;

/** Names of the outputs wanted, or name -> tensor to write into (null: allocate one). */
export type Fetches =
  | readonly string[]
  | ReadonlyMap<string, Tensor | null>
  | Readonly<Record<string, Tensor | null>>;

/**
 * A graph loaded by ONNX Runtime on the CPU. `run` computes on the thread it is called on and blocks it:
 * servers use `OrtPool` instead.
 */
export interface OrtSession {
  readonly inputs: readonly PortInfo[];
  readonly outputs: readonly PortInfo[];
  /**
   * Runs the graph once. Feeds are read in place. Fresh outputs belong to the caller; a preallocated output is
   * written in place and comes back as the same object. Only what `fetches` names is computed; without it, all.
   * @throws TierwiseError TENSOR_INVALID for a missing, unknown, mistyped or mis-shaped tensor; INTERNAL when a
   *   node fails (its name is in the message); DISPOSED after `dispose`
   */
  run(feeds: Feeds, fetches?: Fetches): Promise<Map<string, Tensor>>;
  /** Frees the graph and its threads. Idempotent. */
  dispose(): Promise<void>;
}

/**
 * Loads ONNX bytes, or a file (only a file can have external data beside it). `model` is not kept.
 *
 * Idle threads sleep instead of spinning: with several sessions open spinning slows every operator 2-4x
 * (measured: 200 small runs with pauses took 1,257 ms of CPU with it and 218 ms without). The binding flattens
 * `extra` to the option `session.intra_op.allow_spinning` and takes strings only.
 * @throws TierwiseError MODEL_CORRUPT | MODEL_UNSUPPORTED | FILE_UNREADABLE
 */
export async function openSession(
  model: Uint8Array | string,
  options: SessionOptions = {},
): Promise<OrtSession> {
  let session: ort.InferenceSession;
  try {
    const settings: ort.InferenceSession.SessionOptions = {
      executionProviders: ['cpu'],
      intraOpNumThreads: options.threads ?? 1,
      interOpNumThreads: 1,
      graphOptimizationLevel: options.optimization ?? 'all',
      logSeverityLevel: 4,
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    };
    session =
      typeof model === 'string'
        ? await ort.InferenceSession.create(model, settings)
        : await ort.InferenceSession.create(model, settings);
  } catch (cause) {
    throw loadError(model, cause);
  }
  try {
    return new Session(session);
  } catch (error) {
    await session.release();
    throw error;
  }
}

class Session implements OrtSession {
  readonly inputs: readonly PortInfo[];
  readonly outputs: readonly PortInfo[];
  readonly #byName: ReadonlyMap<string, PortInfo>;
  #session: ort.InferenceSession | undefined;

  constructor(session: ort.InferenceSession) {
    this.inputs = session.inputMetadata.map(portInfo);
    this.outputs = session.outputMetadata.map(portInfo);
    this.#byName = new Map(this.inputs.map((port) => [port.name, port]));
    this.#session = session;
  }

  async run(feeds: Feeds, fetches?: Fetches): Promise<Map<string, Tensor>> {
    const session = this.#session;
    if (session === undefined) throw disposed();
    const given = feeds instanceof Map ? feeds : new Map(Object.entries(feeds));
    const ortFeeds: Record<string, ort.Tensor> = {};
    for (const [name, value] of given) {
      const port = this.#byName.get(name);
      if (port === undefined) throw unknownPort('input', name, this.inputs);
      checkFeed(port, value);
      ortFeeds[name] = toOrt(value);
    }
    for (const { name } of this.inputs) {
      if (!given.has(name)) {
        throw new TierwiseError('TENSOR_INVALID', `input tensor "${name}" is missing`, { tensor: name });
      }
    }
    const wanted = wantedOutputs(fetches, this.outputs);
    const ortFetches: Record<string, ort.Tensor | null> = {};
    for (const [name, into] of wanted) {
      if (!this.outputs.some((port) => port.name === name)) throw unknownPort('output', name, this.outputs);
      ortFetches[name] = into === null ? null : toOrt(into);
    }
    let results: ort.InferenceSession.OnnxValueMapType;
    try {
      results = await session.run(ortFeeds, ortFetches);
    } catch (cause) {
      throw this.#session === undefined ? disposed() : runError(cause);
    }
    const outputs = new Map<string, Tensor>();
    for (const [name, into] of wanted) outputs.set(name, into ?? fromOrt(name, results[name]));
    return outputs;
  }

  async dispose(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.release();
  }
}

function wantedOutputs(
  fetches: Fetches | undefined,
  outputs: readonly PortInfo[],
): ReadonlyMap<string, Tensor | null> {
  if (fetches === undefined) return new Map(outputs.map((port) => [port.name, null]));
  if (isNames(fetches)) return new Map(fetches.map((name) => [name, null]));
  return fetches instanceof Map ? fetches : new Map(Object.entries(fetches));
}

function isNames(fetches: Fetches): fetches is readonly string[] {
  return Array.isArray(fetches);
}

function checkFeed(port: PortInfo, value: Tensor): void {
  const fits =
    value.dims.length === port.dims.length &&
    port.dims.every((dim, i) => typeof dim === 'string' || dim === value.dims[i]);
  if (value.dtype === port.dtype && fits) return;
  throw new TierwiseError(
    'TENSOR_INVALID',
    `input tensor "${port.name}" is ${value.dtype} [${value.dims}], the graph takes ${port.dtype} [${port.dims.map((dim) => (dim === '' ? '?' : dim))}]`,
    { tensor: port.name, dtype: value.dtype, dims: value.dims },
  );
}

function toOrt(value: Tensor): ort.Tensor {
  // float16 travels as its bit patterns; the constructor takes Uint16Array for it on every Node version.
  return new ort.Tensor(value.dtype, value.data as ort.Tensor.DataType, value.dims);
}

function fromOrt(name: string, value: ort.OnnxValue | undefined): Tensor {
  if (value === undefined || !isDType(value.type)) {
    throw new TierwiseError('INTERNAL', `ONNX Runtime gave no tensor for output "${name}"`, { tensor: name });
  }
  const data = value.data as DTypeArrays[DType];
  // Where Float16Array exists the binding returns one; here float16 is always its bit patterns.
  const bits =
    value.type === 'float16' && !(data instanceof Uint16Array)
      ? new Uint16Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength / 2)
      : data;
  return { dtype: value.type, dims: value.dims, data: bits };
}

const dtypes: ReadonlySet<string> = new Set<DType>([
  'float32',
  'float64',
  'float16',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'bool',
]);

function isDType(type: string): type is DType {
  return dtypes.has(type);
}

function portInfo(meta: ort.InferenceSession.ValueMetadata): PortInfo {
  if (!meta.isTensor || !isDType(meta.type)) {
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      `"${meta.name}" is ${meta.isTensor ? `a ${meta.type} tensor` : 'not a tensor'}, which cannot be fed or fetched`,
      { tensor: meta.name },
    );
  }
  return { name: meta.name, dtype: meta.type, dims: meta.shape };
}

function unknownPort(kind: 'input' | 'output', name: string, ports: readonly PortInfo[]): TierwiseError {
  return new TierwiseError(
    'TENSOR_INVALID',
    `the graph has no ${kind} "${name}"; it has ${ports.map((port) => `"${port.name}"`).join(', ')}`,
    { tensor: name },
  );
}

function disposed(): TierwiseError {
  return new TierwiseError('DISPOSED', 'the session was disposed');
}

function loadError(model: Uint8Array | string, cause: unknown): TierwiseError {
  const text = reason(cause);
  const what = typeof model === 'string' ? model : `an ONNX model of ${model.byteLength} bytes`;
  const code = /doesn't exist|No such file|Permission denied|system error/i.test(text)
    ? 'FILE_UNREADABLE'
    : /not a registered function\/op|No Op registered|NOT_IMPLEMENTED|Could not find an implementation|Unsupported model IR|under development|No opset import/i.test(
          text,
        )
      ? 'MODEL_UNSUPPORTED'
      : 'MODEL_CORRUPT';
  return new TierwiseError(code, `${what} cannot be loaded: ${text}`, {}, { cause });
}

/** Feeds were checked before, so only preallocated outputs can still be to blame; otherwise a node failed. */
function runError(cause: unknown): TierwiseError {
  const text = reason(cause);
  const code = /for output|output data type/i.test(text) ? 'TENSOR_INVALID' : 'INTERNAL';
  return new TierwiseError(code, `the graph failed to run: ${text}`, {}, { cause });
}

/** ONNX Runtime's text on one line, without the path and signature of its own source. */
function reason(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text
    .replace(/\S*\/onnxruntime\/\S+:\d+ .*?\) ?(?=\S)/gs, '')
    .replace(/\s+/g, ' ')
    .trim();
}
