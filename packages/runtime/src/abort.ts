import { isTierwiseError, TierwiseError, toTierwiseError } from '@tierwise/core';

/** Why `signal` was aborted: its own TierwiseError, TIMEOUT for `AbortSignal.timeout`, CANCELLED for all else. */
export function abortError({ reason }: AbortSignal): TierwiseError {
  if (isTierwiseError(reason)) return reason;
  if (reason instanceof Error && reason.name === 'TimeoutError') return toTierwiseError(reason);
  return new TierwiseError('CANCELLED', 'the caller cancelled', {}, { cause: reason });
}

/** @throws TierwiseError as `abortError` says when `signal` is aborted */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

/** `work` as it settles, or a rejection as soon as `signal` is aborted; the work itself goes on. */
export function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const stop = () => reject(abortError(signal));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
