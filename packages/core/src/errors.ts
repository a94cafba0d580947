/**
 * Every failure that Tierwise reports has one stable code. This table is the only place where a code is
 * born: it gives the HTTP status an edge answers with and whether the same call may succeed later without a change by
 * the caller. What a reader can do is in `remedies.ts` and in `docs/errors.md`; both are checked against this table.
 * Pages need not load either; the class that all throw is in `tierwise-error.ts`.
 */
export const errorTable = {
  // Bytes from outside
  MODEL_CORRUPT: { status: 422, retryable: false },
  MODEL_UNSUPPORTED: { status: 422, retryable: false },
  MANIFEST_INVALID: { status: 422, retryable: false },
  PROGRAM_CORRUPT: { status: 422, retryable: false },
  SAFETENSORS_CORRUPT: { status: 422, retryable: false },
  DIGEST_MISMATCH: { status: 422, retryable: true },
  FRAME_CORRUPT: { status: 400, retryable: false },
  PACKED_CORRUPT: { status: 400, retryable: false },
  REQUEST_INVALID: { status: 400, retryable: false },
  TENSOR_INVALID: { status: 400, retryable: false },
  IMAGE_INVALID: { status: 400, retryable: false },
  PLAN_INVALID: { status: 400, retryable: false },
  // Not there
  MODEL_UNKNOWN: { status: 404, retryable: false },
  ARTIFACT_UNKNOWN: { status: 404, retryable: false },
  ADDRESS_UNKNOWN: { status: 404, retryable: false },
  FILE_UNREADABLE: { status: 500, retryable: false },
  DATA_MISSING: { status: 500, retryable: false },
  DATA_CORRUPT: { status: 422, retryable: false },
  // Limits and availability
  BODY_TOO_LARGE: { status: 413, retryable: false },
  ORIGIN_REFUSED: { status: 403, retryable: false },
  TOKEN_REFUSED: { status: 401, retryable: false },
  OVERLOADED: { status: 503, retryable: true },
  DRAINING: { status: 503, retryable: true },
  EDGE_UNREACHABLE: { status: 502, retryable: true },
  TIMEOUT: { status: 504, retryable: true },
  CANCELLED: { status: 499, retryable: true },
  ENGINE_MISSING: { status: 501, retryable: false },
  DISPOSED: { status: 500, retryable: false },
  // Training
  TRAINING_DIVERGED: { status: 500, retryable: false },
  CHECKPOINT_INVALID: { status: 422, retryable: false },
  USAGE: { status: 400, retryable: false },
  INTERNAL: { status: 500, retryable: false },
} as const satisfies Record<string, { status: number; retryable: boolean }>;

/** A code of the table above; stable across versions. */
export type ErrorCode = keyof typeof errorTable;
