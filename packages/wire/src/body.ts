import { type Body, decode, encode, type JsonData } from './frame.ts';
import { dataFromJson, dataToJson } from './json-data.ts';
import type { InferMessage } from './message.ts';

/** How tensors are written. */
export interface EncodeOptions {
  /** Whether a tensor is written as JSON `data` instead of raw bytes; default: none is. */
  readonly asJson?: (tensorName: string) => boolean;
}

/**
 * The body of an HTTP request or response: JSON, then raw little-endian tensors in order without padding. With
 * tensors behind the JSON its length goes into the header `Inference-Header-Content-Length`.
 * @throws TierwiseError TENSOR_INVALID when a tensor's data does not match its dims or cannot be JSON;
 *   REQUEST_INVALID when the message is beyond the limits of a frame
 */
export function encodeBody(message: InferMessage, { asJson = () => false }: EncodeOptions = {}): Body {
  return encode(message, jsonData(asJson), 0);
}

/**
 * The message of an HTTP body. `jsonLength` is the value of `Inference-Header-Content-Length`; without it the
 * whole body is JSON, whose size the caller has bounded. Tensors may share memory with `bytes`.
 * @throws TierwiseError FRAME_CORRUPT when any part is not as the protocol says
 */
export function decodeBody(bytes: Uint8Array, jsonLength?: number): InferMessage {
  return decode(
    bytes,
    jsonLength,
    jsonData(() => false),
  );
}

function jsonData(asJson: (name: string) => boolean): JsonData {
  return {
    write: (name, tensor) => (asJson(name) ? dataToJson(name, tensor) : undefined),
    read: dataFromJson,
  };
}
