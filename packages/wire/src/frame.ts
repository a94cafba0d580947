import {
  bytesPerElement,
  type DType,
  type DTypeArrays,
  type ErrorCode,
  elementCount,
  errorTable,
  fromBytes,
  type Schema,
  schema,
  type Tensor,
  TierwiseError,
  toBytes,
} from '@tierwise/core';
import { datatypeNames, dtypeOf } from './datatypes.ts';
import {
  FailureJsonSchema,
  type InferMessage,
  type InferParameters,
  maxTensors,
  RequestJsonSchema,
  ResponseJsonSchema,
  readParameters,
  type TensorJson,
} from './message.ts';

/** Bytes that the JSON before binary tensors may take. */
const maxJsonBytes = 2 ** 20;
const lengthBytes = 4;

/** The bytes of a request or response, and where its JSON ends. */
export interface Body {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Bytes of JSON at the start; equal to `bytes.length` when no tensor follows. */
  readonly jsonLength: number;
}

/** Tensors as JSON `data`, which HTTP bodies may have and frames never do: a page need not load it. */
export interface JsonData {
  /** The JSON of a tensor, or undefined to send it as raw bytes. */
  write(name: string, tensor: Tensor): readonly (number | boolean)[] | undefined;
  read(name: string, dtype: DType, dims: readonly number[], data: readonly unknown[]): DTypeArrays[DType];
}

/**
 * One binary frame of a WebSocket: u32 little-endian length of the JSON, the JSON, raw tensors.
 * @throws TierwiseError TENSOR_INVALID when a tensor's data does not match its dims; REQUEST_INVALID when the
 *   message is beyond the limits of a frame
 */
export function encodeFrame(message: InferMessage): Uint8Array<ArrayBuffer> {
  const { bytes, jsonLength } = encode(message, undefined, lengthBytes);
  new DataView(bytes.buffer).setUint32(0, jsonLength, true);
  return bytes;
}

/** The message as JSON and raw tensors, with `prefixBytes` free before them. */
export function encode(message: InferMessage, jsonData: JsonData | undefined, prefixBytes: number): Body {
  const raw: Uint8Array[] = [];
  let tensorCount = 0;
  const tensorsJson = (tensors: ReadonlyMap<string, Tensor>): object[] => {
    tensorCount = tensors.size;
    return [...tensors].map(([name, tensor]) => {
      const { dtype, dims, data } = tensor;
      if (elementCount(dims) !== data.length) {
        throw new TierwiseError(
          'TENSOR_INVALID',
          `tensor "${name}": shape [${dims}] cannot hold ${data.length} elements`,
          { tensor: name, dims },
        );
      }
      const head = { name, shape: dims, datatype: datatypeNames[dtype] };
      const json = jsonData?.write(name, tensor);
      if (json) return { ...head, data: json };
      raw.push(toBytes(data));
      return { ...head, parameters: { binary_data_size: data.byteLength } };
    });
  };
  const json = new TextEncoder().encode(JSON.stringify(toJson(message, tensorsJson)));
  if (tensorCount > maxTensors || (raw.length > 0 && json.length > maxJsonBytes)) {
    throw new TierwiseError(
      'REQUEST_INVALID',
      `${tensorCount} tensors and ${json.length} bytes of JSON: a message has at most ${maxTensors} and ${maxJsonBytes}`,
    );
  }
  let at = prefixBytes + json.length;
  const bytes = new Uint8Array(raw.reduce((length, part) => length + part.length, at));
  bytes.set(json, prefixBytes);
  for (const part of raw) {
    bytes.set(part, at);
    at += part.length;
  }
  return { bytes, jsonLength: json.length };
}

function toJson(
  message: InferMessage,
  tensorsJson: (tensors: ReadonlyMap<string, Tensor>) => object[],
): object {
  const { kind, id } = message;
  const idJson = id === '' ? {} : { id };
  if (kind === 'failure') return { ...idJson, error: message.error, code: message.code };
  const { modelName, parameters } = message;
  const head = {
    ...(modelName === '' ? {} : { model_name: modelName }),
    ...idJson,
    ...(Object.keys(parameters).length === 0 ? {} : { parameters }),
  };
  if (kind === 'response') return { ...head, outputs: tensorsJson(message.outputs) };
  const outputs = message.outputs.map(({ name, binary }) => ({
    name,
    ...(binary === undefined ? {} : { parameters: { binary_data: binary } }),
  }));
  return {
    ...head,
    inputs: tensorsJson(message.inputs),
    ...(outputs.length === 0 ? {} : { outputs }),
  };
}

/** The message in `bytes`, of which the first `jsonLength` (undefined: all) are JSON. */
export function decode(
  bytes: Uint8Array,
  jsonLength: number | undefined,
  jsonData: JsonData | undefined,
): InferMessage {
  if (jsonLength !== undefined) {
    const fits = Number.isSafeInteger(jsonLength) && jsonLength >= 0 && jsonLength <= bytes.length;
    if (!fits || jsonLength > maxJsonBytes) {
      throw corrupt(`${jsonLength} bytes of JSON do not fit a message of ${bytes.length} bytes or the limit`);
    }
  }
  const json = parseJson(bytes.subarray(0, jsonLength));
  // A plain view: the slice of a Node Buffer would not copy.
  const start = jsonLength ?? bytes.length;
  const raw = new Uint8Array(bytes.buffer, bytes.byteOffset + start, bytes.length - start);
  if ('error' in json) {
    readTensors([], raw, jsonData);
    const { id, error, code } = parse(FailureJsonSchema, json);
    return {
      kind: 'failure',
      id,
      error,
      code: Object.hasOwn(errorTable, code) ? (code as ErrorCode) : 'INTERNAL',
    };
  }
  if ('inputs' in json) {
    const { model_name: modelName, id, parameters, inputs, outputs } = parse(RequestJsonSchema, json);
    return {
      kind: 'request',
      modelName,
      id,
      parameters: parametersOf(parameters),
      inputs: readTensors(inputs, raw, jsonData),
      outputs: outputs.map(({ name, parameters: wanted }) =>
        wanted?.binary_data === undefined ? { name } : { name, binary: wanted.binary_data },
      ),
    };
  }
  const { model_name: modelName, id, parameters, outputs } = parse(ResponseJsonSchema, json);
  return {
    kind: 'response',
    modelName,
    id,
    parameters: parametersOf(parameters),
    outputs: readTensors(outputs, raw, jsonData),
  };
}

/**
 * The message of one binary WebSocket frame. Tensors may share memory with `bytes`.
 * @throws TierwiseError FRAME_CORRUPT when any part is not as docs/wire.md says
 */
export function decodeFrame(bytes: Uint8Array): InferMessage {
  if (bytes.length < lengthBytes) throw corrupt(`${bytes.length} bytes are too few for a length`);
  const jsonLength = new DataView(bytes.buffer, bytes.byteOffset, lengthBytes).getUint32(0, true);
  return decode(bytes.subarray(lengthBytes), jsonLength, undefined);
}

function parseJson(bytes: Uint8Array): object {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw corrupt('its header is not JSON in UTF-8', cause);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw corrupt('its JSON is no object');
  return json;
}

function parse<T>(form: Schema<T>, json: object): T {
  return schema.read(form, json, (path, problem) => {
    throw corrupt(`${path || 'its JSON'}: ${problem}`);
  });
}

function parametersOf(json: Record<string, unknown>): InferParameters {
  return readParameters(json, (name) => {
    throw corrupt(`parameters.${name} is not a string, number or truth value`);
  });
}

/** The tensors that `list` tells of, in order; `raw` must hold the bytes of the binary ones and no more. */
function readTensors(
  list: readonly TensorJson[],
  raw: Uint8Array,
  jsonData: JsonData | undefined,
): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  let at = 0;
  for (const { name, shape: dims, datatype, parameters, data } of list) {
    const dtype = dtypeOf(datatype);
    if (dtype === undefined) throw corrupt(`tensor "${name}" has the unknown datatype ${datatype}`);
    if (tensors.has(name)) throw corrupt(`two tensors are named "${name}"`);
    const size = parameters?.binary_data_size;
    if (data !== undefined && !Array.isArray(data)) throw corrupt(`tensor "${name}": its data is no array`);
    if (jsonData && data !== undefined && size === undefined) {
      tensors.set(name, { dtype, dims, data: jsonData.read(name, dtype, dims, data) });
      continue;
    }
    if (data !== undefined || size === undefined) {
      throw corrupt(
        `tensor "${name}" needs ${jsonData ? 'either data or ' : ''}binary_data_size${jsonData ? '' : ' and no data in a frame'}`,
      );
    }
    const bytes = raw.subarray(at, at + size);
    at += size;
    if (size !== elementCount(dims) * bytesPerElement[dtype] || bytes.length !== size) {
      throw corrupt(
        `tensor "${name}": ${datatype} of shape [${dims}] is not ${size} bytes, or they are missing`,
      );
    }
    const values = fromBytes(dtype, bytes);
    if (dtype === 'bool' && bytes.some((byte) => byte > 1)) {
      throw corrupt(`tensor "${name}" is BOOL and not 0 or 1`);
    }
    tensors.set(name, { dtype, dims, data: values });
  }
  if (at !== raw.length) throw corrupt(`${raw.length} bytes of tensors, the header tells of ${at}`);
  return tensors;
}

function corrupt(what: string, cause?: unknown): TierwiseError {
  return new TierwiseError('FRAME_CORRUPT', `inference message: ${what}`, {}, { cause });
}
