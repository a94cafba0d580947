import type { ErrorCode } from './errors.ts';

/** What the reader of an error can do about it, one sentence for each code. */
export const remedies: Readonly<Record<ErrorCode, string>> = {
  MODEL_CORRUPT: 'Fetch or export the file again; compare its digest with the manifest.',
  MODEL_UNSUPPORTED: 'Export the network without this operator or attribute, or cut before it.',
  MANIFEST_INVALID:
    'Compare it with docs/manifest.schema.json; a bundle of another format needs another version of Tierwise, or has to be made again.',
  PROGRAM_CORRUPT: 'Compile the branch again with `tierwise train` or fetch the bundle again.',
  SAFETENSORS_CORRUPT: 'The file is truncated or damaged: fetch it again.',
  DIGEST_MISMATCH:
    'The bytes are not the ones the manifest names: fetch them again or publish the bundle anew.',
  FRAME_CORRUPT: 'Both ends must speak the same version; see docs/wire.md for the byte table.',
  PACKED_CORRUPT: 'The packed tensor was damaged or made by another version; send it again.',
  REQUEST_INVALID: 'Correct the request as the message says; GET /v2/models/<name> lists inputs and shapes.',
  TENSOR_INVALID: 'Give the tensor the name, dtype, shape and finite values that the message asks for.',
  IMAGE_INVALID: 'Give an image with at least one pixel in a format that this place can decode.',
  PLAN_INVALID: 'Make the Plan with a strategy of @tierwise/plan, or correct what the message names.',
  MODEL_UNKNOWN: 'GET /v2/repository/index lists the models that this edge serves.',
  ARTIFACT_UNKNOWN: 'Load the manifest again: the bundle has been replaced or was never served here.',
  ADDRESS_UNKNOWN: 'Correct the path; GET /v2/repository/index lists the models that this edge serves.',
  FILE_UNREADABLE: 'Check the path and its permissions.',
  DATA_MISSING: 'Set TIERWISE_DATA to a folder that holds the data set, or give --data a folder.',
  DATA_CORRUPT:
    'Correct what the message names, or fetch the file again: it is not the data that its name says.',
  BODY_TOO_LARGE: 'Send fewer bytes, or raise the limit where you run the edge.',
  ORIGIN_REFUSED: 'Serve the page from the edge itself, or allow its origin where you run the edge.',
  TOKEN_REFUSED: 'Send one of the tokens of this edge: Authorization: Bearer <token>.',
  OVERLOADED: 'Wait as Retry-After says and try again.',
  DRAINING: 'The server is going down: connect again, preferably to another one.',
  EDGE_UNREACHABLE:
    'Check that the edge runs and that its address is right; a page that is loaded goes on with its branch meanwhile.',
  TIMEOUT: 'Try again, or allow more time.',
  CANCELLED: 'The caller cancelled; nothing is left half done.',
  ENGINE_MISSING: 'Add the engine that the message names to this place.',
  DISPOSED: 'Load the model again: it was disposed.',
  TRAINING_DIVERGED: 'Lower the learning rate or resume from the last checkpoint.',
  CHECKPOINT_INVALID: 'Train from scratch, or resume with the settings that the checkpoint was made with.',
  USAGE: 'See --help.',
  INTERNAL: 'This is a fault in Tierwise: please report it with the message.',
};
