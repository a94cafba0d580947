export { bitPlaneBytes, fromBitPlanes, toBitPlanes } from './bit-planes.ts';
export { decodeBody, type EncodeOptions, encodeBody } from './body.ts';
export { datatypeNames, dtypeOf } from './datatypes.ts';
export { type Body, decodeFrame, encodeFrame } from './frame.ts';
export { lz4Compress, lz4Decompress } from './lz4.ts';
export {
  errorOf,
  failureOf,
  type InferFailure,
  type InferMessage,
  type InferParameters,
  type InferRequest,
  type InferResponse,
  type RequestedOutput,
  wantsBinary,
} from './message.ts';
export {
  isPacked,
  type PackedHeader,
  type PackPolicy,
  pack,
  readPackedHeader,
  unpack,
  unpackPayload,
} from './packed.ts';
export { dequantize, type PackedBits, packedBits, type QuantizeRange, quantize } from './quantize.ts';
