/**
 * Every failure that Tierwise reports has one stable code. This table is the only place where a code is
 * born: it gives the HTTP status an edge answers with, whether trying again may help, and what the reader
 * can do. `docs/errors.md` is checked against it.
 */
export const errorTable = {
  // Bytes from outside
  MODEL_CORRUPT: {
    status: 422,
    retryable: false,
    remedy: 'Fetch or export the file again; compare its digest with the manifest.',
  },
  MODEL_UNSUPPORTED: {
    status: 422,
    retryable: false,
    remedy: 'Export the network without this operator or attribute, or cut before it.',
  },
  MANIFEST_INVALID: {
    status: 422,
    retryable: false,
    remedy: 'Compare manifest.json with the schema that the message names.',
  },
  PROGRAM_CORRUPT: {
    status: 422,
    retryable: false,
    remedy: 'Compile the branch again with `tierwise train` or fetch the bundle again.',
  },
  SAFETENSORS_CORRUPT: {
    status: 422,
    retryable: false,
    remedy: 'The file is truncated or damaged: fetch it again.',
  },
  DIGEST_MISMATCH: {
    status: 422,
    retryable: true,
    remedy: 'The bytes are not the ones the manifest names: fetch them again or publish the bundle anew.',
  },
  FRAME_CORRUPT: {
    status: 400,
    retryable: false,
    remedy: 'Both ends must speak the same version; see docs/wire.md for the byte table.',
  },
  PACKED_CORRUPT: {
    status: 400,
    retryable: false,
    remedy: 'The packed tensor was damaged or made by another version; send it again.',
  },
  REQUEST_INVALID: {
    status: 400,
    retryable: false,
    remedy: 'Correct the request as the message says; GET /v2/models/<name> lists inputs and shapes.',
  },
  TENSOR_INVALID: {
    status: 400,
    retryable: false,
    remedy: 'Give the tensor the name, dtype, shape and finite values that the message asks for.',
  },
  IMAGE_INVALID: {
    status: 400,
    retryable: false,
    remedy: 'Give an image with at least one pixel in a format that this place can decode.',
  },
  PLAN_INVALID: {
    status: 400,
    retryable: false,
    remedy: 'Make the Plan with a strategy of @tierwise/plan, or correct what the message names.',
  },
  // Not there
  MODEL_UNKNOWN: {
    status: 404,
    retryable: false,
    remedy: 'GET /v2/repository/index lists the models that this edge serves.',
  },
  ARTIFACT_UNKNOWN: {
    status: 404,
    retryable: false,
    remedy: 'Load the manifest again: the bundle has been replaced or was never served here.',
  },
  ADDRESS_UNKNOWN: {
    status: 404,
    retryable: false,
    remedy: 'Correct the path; GET /v2/repository/index lists the models that this edge serves.',
  },
  FILE_UNREADABLE: { status: 500, retryable: false, remedy: 'Check the path and its permissions.' },
  DATA_MISSING: {
    status: 500,
    retryable: false,
    remedy: 'Set TIERWISE_DATA to a folder that holds the data set, or give --data a folder.',
  },
  DATA_CORRUPT: {
    status: 422,
    retryable: false,
    remedy: 'The data file is truncated or not in the format its name says: fetch it again.',
  },
  // Limits and availability
  BODY_TOO_LARGE: {
    status: 413,
    retryable: false,
    remedy: 'Send fewer bytes, or raise the limit where you run the edge.',
  },
  ORIGIN_REFUSED: {
    status: 403,
    retryable: false,
    remedy: 'Serve the page from the edge itself, or allow its origin where you run the edge.',
  },
  OVERLOADED: { status: 503, retryable: true, remedy: 'Wait as Retry-After says and try again.' },
  DRAINING: {
    status: 503,
    retryable: true,
    remedy: 'The server is going down: connect again, preferably to another one.',
  },
  EDGE_UNREACHABLE: {
    status: 502,
    retryable: true,
    remedy:
      'Check that the edge runs and that its address is right; a page that is loaded goes on with its branch meanwhile.',
  },
  TIMEOUT: { status: 504, retryable: true, remedy: 'Try again, or allow more time.' },
  CANCELLED: { status: 499, retryable: true, remedy: 'The caller cancelled; nothing is left half done.' },
  ENGINE_MISSING: {
    status: 501,
    retryable: false,
    remedy: 'Add the engine that the message names to this place.',
  },
  DISPOSED: { status: 500, retryable: false, remedy: 'Load the model again: it was disposed.' },
  // Training
  TRAINING_DIVERGED: {
    status: 500,
    retryable: false,
    remedy: 'Lower the learning rate or resume from the last checkpoint.',
  },
  CHECKPOINT_INVALID: {
    status: 422,
    retryable: false,
    remedy: 'Train from scratch, or resume with the settings that the checkpoint was made with.',
  },
  USAGE: { status: 400, retryable: false, remedy: 'See --help.' },
  INTERNAL: {
    status: 500,
    retryable: false,
    remedy: 'This is a fault in Tierwise: please report it with the message.',
  },
} as const satisfies Record<string, { status: number; retryable: boolean; remedy: string }>;

export type ErrorCode = keyof typeof errorTable;

/** What an error is about: file, node, tensor, sizes. Values are shown to users, so never put secrets here. */
export type ErrorDetails = Readonly<
  Record<string, string | number | boolean | readonly number[] | undefined>
>;

/**
 * The one error class. `message` says what is wrong and where; `remedy` says what to do; `details` holds the
 * operands so that no caller parses the message.
 */
export class TierwiseError extends Error {
  override readonly name = 'TierwiseError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }

  /** Whether the same call may succeed later without a change by the caller. */
  get retryable(): boolean {
    return errorTable[this.code].retryable;
  }

  /** HTTP status that a server answers with. */
  get status(): number {
    return errorTable[this.code].status;
  }

  /** What the reader can do about it, one sentence. */
  get remedy(): string {
    return errorTable[this.code].remedy;
  }
}

/** Narrows an unknown thrown value to a TierwiseError, of one code when `code` is given. */
export function isTierwiseError(value: unknown, code?: ErrorCode): value is TierwiseError {
  return value instanceof TierwiseError && (code === undefined || value.code === code);
}

/** The error as it is: a TierwiseError unchanged, an abort as CANCELLED, anything else as INTERNAL with its cause. */
export function toTierwiseError(value: unknown): TierwiseError {
  if (value instanceof TierwiseError) return value;
  if (value instanceof Error && (value.name === 'AbortError' || value.name === 'TimeoutError')) {
    return new TierwiseError(
      value.name === 'TimeoutError' ? 'TIMEOUT' : 'CANCELLED',
      value.message,
      {},
      { cause: value },
    );
  }
  const message = value instanceof Error ? value.message : String(value);
  return new TierwiseError('INTERNAL', `internal: ${message}`, {}, { cause: value });
}
