import {
  type ErrorCode,
  type ErrorDetails,
  type Tensor,
  TierwiseError,
  toTierwiseError,
} from '@tierwise/core';
import type { Trial } from './batches.ts';
import type { PortInfo, SessionOptions } from './session.ts';

/**
 * What a pool and its worker threads say to each other. Both ends are this package, in one process: the types
 * are the schema. A worker handles messages one after the other, in the order sent.
 */
export type ToWorker =
  /** `bytes` is shared memory: a worker copies it only while it loads. */
  | {
      readonly kind: 'load';
      readonly job: number;
      readonly model: number;
      readonly bytes: SharedArrayBuffer;
      readonly options: SessionOptions;
      /** Present when runs may be joined, should the model allow it. */
      readonly trial: Trial | undefined;
    }
  | { readonly kind: 'unload'; readonly model: number }
  | { readonly kind: 'close' }
  | {
      readonly kind: 'run';
      readonly job: number;
      readonly model: number;
      readonly feeds: ReadonlyMap<string, Tensor>;
      readonly fetches: readonly string[] | undefined;
    };

export type FromWorker =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'loaded';
      readonly job: number;
      readonly inputs: readonly PortInfo[];
      readonly outputs: readonly PortInfo[];
      /** What the trial found; false without one. */
      readonly batches: boolean;
    }
  | {
      readonly kind: 'done';
      readonly job: number;
      readonly outputs: Map<string, Tensor>;
      readonly computeMs: number;
    }
  | { readonly kind: 'failed'; readonly job: number; readonly error: PlainError };

/** A TierwiseError as plain data: class instances do not survive the way between threads. */
export interface PlainError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails;
}

export function toPlain(value: unknown): PlainError {
  const { code, message, details } = toTierwiseError(value);
  return { code, message, details };
}

export function fromPlain(error: PlainError): TierwiseError {
  return new TierwiseError(error.code, error.message, error.details);
}

/** The distinct buffers behind `tensors`, all of which become unusable for the sender when transferred. */
export function buffersOf(tensors: Iterable<Tensor>): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { data } of tensors) buffers.add(data.buffer as ArrayBuffer);
  return [...buffers];
}
