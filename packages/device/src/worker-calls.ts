import { TierwiseError } from '@tierwise/core';
import { abortError, throwIfAborted } from '@tierwise/runtime';
import type { Progress } from './api.ts';
import { unreadable } from './pixels.ts';
import type { Call, Event, FromWorker, Result, SentError, ToWorker } from './worker-messages.ts';

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly transfer?: Transferable[];
}

/** Calls to one worker. */
export interface Calls {
  /** Settles as the worker says, or with the abort of `signal`. */
  call(call: Call, options?: CallOptions): Promise<Result>;
  /** Ends the worker, and with `error` every call under way and all later ones. */
  end(error: TierwiseError): void;
}

interface Waiting {
  hear(message: Exclude<FromWorker, { kind: 'event' }>): void;
  fail(error: unknown): void;
}

/** @throws TierwiseError ENGINE_MISSING when no worker can be made */
export function connect(start: () => Worker, onEvent: (event: Event) => void): Calls {
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  let over: TierwiseError | undefined;
  let worker: Worker;
  try {
    worker = start();
  } catch (cause) {
    throw broken(String(cause), cause);
  }
  const post = (message: ToWorker, transfer: Transferable[] = []) => worker.postMessage(message, transfer);

  function end(error: TierwiseError): void {
    over ??= error;
    worker.terminate();
    for (const call of [...waiting.values()]) call.fail(over);
  }

  worker.addEventListener('message', ({ data }: MessageEvent<FromWorker>) => {
    if (data.kind === 'event') onEvent(data.event);
    else waiting.get(data.id)?.hear(data);
  });
  // A script that cannot be fetched or run, or that has failed: the page cannot tell what still works.
  worker.addEventListener('error', (event) => {
    event.preventDefault();
    end(broken(event.message ?? 'its script cannot be fetched'));
  });

  function call(what: Call, { signal, onProgress, transfer }: CallOptions = {}): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (over !== undefined) throw over;
      throwIfAborted(signal);
      const id = ++lastId;
      const stop = () => {
        waiting.delete(id);
        signal?.removeEventListener('abort', cancel);
      };
      const fail = (error: unknown) => {
        stop();
        reject(error);
      };
      const cancel = () => {
        post({ id, kind: 'abort' });
        fail(abortError(signal!));
      };
      waiting.set(id, {
        fail,
        hear(message) {
          if (message.kind === 'progress') return onProgress?.(message.progress);
          if (message.kind === 'failed') return fail(errorOf(message.error));
          stop();
          resolve(message.result);
        },
      });
      signal?.addEventListener('abort', cancel);
      try {
        post({ id, ...what }, transfer);
      } catch (cause) {
        fail(what.kind === 'classify' ? unreadable(cause) : cause);
      }
    });
  }

  return { call, end };
}

function errorOf({ code, message, details }: SentError): TierwiseError {
  return new TierwiseError(code, message, details);
}

function broken(why: string, cause?: unknown): TierwiseError {
  return new TierwiseError('ENGINE_MISSING', `the worker does not run: ${why}`, {}, { cause });
}
