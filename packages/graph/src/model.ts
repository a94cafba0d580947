import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { TierwiseError } from '@tierwise/core';
import { type ModelProto, ModelProtoSchema } from 'onnx-buf';
import { checkModel } from './check.ts';

export type { GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto } from 'onnx-buf';

/**
 * The ONNX model in `bytes`, checked: it has a graph, each tensor a node takes is made before it, each name is
 * made once, and each stored tensor holds as many bytes as its shape says. Fields that this version does not
 * know are kept, so writing an unchanged model gives the same bytes. Raw tensor data shares memory with `bytes`.
 * `where` names the file in messages.
 * @throws TierwiseError MODEL_CORRUPT on anything that is not such a model; MODEL_UNSUPPORTED on weights in other
 *   files (`readOnnxWith` takes those), sparse weights or an element type that ONNX has no size for
 */
export function readOnnx(bytes: Uint8Array, where = 'model'): ModelProto {
  const model = decodeOnnx(bytes, where);
  checkModel(model, where);
  return model;
}

/** What is encoded in `bytes`, of which nothing has been checked. @throws TierwiseError MODEL_CORRUPT */
export function decodeOnnx(bytes: Uint8Array, where: string): ModelProto {
  try {
    // A plain view: `slice` of a Node Buffer would share memory where a copy is meant.
    return fromBinary(ModelProtoSchema, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TierwiseError('MODEL_CORRUPT', `${where} is not an ONNX file: ${reason}`, { where }, { cause });
  }
}

/** `model` as the bytes of an ONNX file. */
export function writeOnnx(model: ModelProto): Uint8Array<ArrayBuffer> {
  return toBinary(ModelProtoSchema, model);
}
