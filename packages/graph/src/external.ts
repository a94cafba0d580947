import { clearField } from '@bufbuild/protobuf';
import { elementCount, TierwiseError } from '@tierwise/core';
import { type ModelProto, type TensorProto, TensorProtoSchema } from 'onnx-buf';
import { bitsPerElement, checkModel, isExternal } from './check.ts';
import { decodeOnnx } from './model.ts';

/**
 * Weights in files beside the model, as large networks need them (a file of protobuf ends at 2 GB) and newer exporters
 * write them by default. A tensor then states a `location`, relative to the model's folder, an `offset` and a `length`
 * (ONNX, docs/ExternalData.md).
 */

/**
 * The files beside the ONNX file in `bytes` that hold weights of it; none for most. Each is a path within the model's
 * folder, with "/" between its parts.
 * @throws TierwiseError MODEL_CORRUPT when `bytes` are no ONNX file, or name a file outside of its folder
 */
export function externalFiles(bytes: Uint8Array, where = 'model'): string[] {
  const files = externalTensors(decodeOnnx(bytes, where)).map((proto) => stated(proto, where).location);
  return [...new Set(files)];
}

/**
 * `readOnnx` for a model whose weights are in `files`, by the names that `externalFiles` gave; the model has them inside.
 * @throws TierwiseError MODEL_CORRUPT also when a file is not among them, or ends before a weight does
 */
export function readOnnxWith(
  bytes: Uint8Array,
  files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
  where = 'model',
): ModelProto {
  const model = decodeOnnx(bytes, where);
  for (const proto of externalTensors(model)) {
    const { location, offset, length } = stated(proto, where);
    const file = files.get(location);
    const size = length ?? sizeOf(proto);
    if (file === undefined || size === undefined || offset + size > file.length)
      throw corrupt(
        where,
        `tensor "${proto.name}" is said to be ${size ?? 'some'} bytes at ${offset} of ${location}, which has ${file?.length ?? 'none'}`,
      );
    // A plain view: `slice` of a Node Buffer would share memory where a copy is meant.
    proto.rawData = new Uint8Array(file.buffer, file.byteOffset + offset, size);
    proto.externalData = [];
    clearField(proto, TensorProtoSchema.field.dataLocation);
  }
  checkModel(model, where);
  return model;
}

/** Tensors of the graph that are stored elsewhere. Those in the bodies of If and Loop are not looked for: neither is run. */
function externalTensors({ graph }: ModelProto): TensorProto[] {
  const constants = graph?.node.flatMap(({ attribute }) => attribute.flatMap(({ t }) => t ?? [])) ?? [];
  return [...(graph?.initializer ?? []), ...constants].filter(isExternal);
}

function stated(proto: TensorProto, where: string) {
  const entries = new Map(proto.externalData.map(({ key, value }) => [key, value]));
  const location = entries.get('location') ?? '';
  const parts = location.split(/[/\\]/);
  if (parts.some((part) => part === '' || part === '..' || part.includes(':') || part.includes('\0')))
    throw corrupt(
      where,
      `tensor "${proto.name}" is said to lie in "${location}", which is not in the model's folder`,
    );
  const whole = (key: string): number | undefined => {
    const text = entries.get(key);
    if (text === undefined) return undefined;
    if (!/^\d{1,15}$/.test(text))
      throw corrupt(where, `tensor "${proto.name}": its ${key} in ${location} is "${text}"`);
    return Number(text);
  };
  return { location: parts.join('/'), offset: whole('offset') ?? 0, length: whole('length') };
}

/** Bytes that its shape and type say. */
function sizeOf({ dims, dataType }: TensorProto): number | undefined {
  const bits = bitsPerElement[dataType];
  return bits === undefined ? undefined : Math.ceil((elementCount(dims.map(Number)) * bits) / 8);
}

function corrupt(where: string, what: string): TierwiseError {
  return new TierwiseError('MODEL_CORRUPT', `${where}: ${what}`, { where });
}
