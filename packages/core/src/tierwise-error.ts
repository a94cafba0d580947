import type { ErrorCode } from './errors.ts';

/** What an error is about: file, node, tensor, sizes. Values are shown to users, so never put secrets here. */
export type ErrorDetails = Readonly<
  Record<string, string | number | boolean | readonly number[] | undefined>
>;

/**
 * The one error class. `message` says what is wrong and where; `details` holds the operands so that no caller parses
 * the message.
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
