import type { ErrorCode, ErrorDetails } from '@tierwise/core';
import type { Manifest } from '@tierwise/plan';
import type {
  Answer,
  ClassifyOptions,
  Composite,
  CompositeEvents,
  LoadOptions,
  Progress,
  RawPixels,
} from './api.ts';

/*
 * What a page and its worker say to each other. Both ends are of one build of this package, so that messages need no
 * check. A call has an id, under which it is answered, in any order.
 */

/** What of the options can cross to a worker: data. */
export type PlainOptions = Pick<
  LoadOptions,
  'strategy' | 'edge' | 'token' | 'audit' | 'rawInputMayLeave' | 'saveData'
> & { readonly cache?: 'default' | 'none' | undefined };

/** A picture on its way: owned by the receiver, which closes it. */
export type SentPicture = RawPixels | ImageBitmap | VideoFrame;

export type Call =
  | {
      readonly kind: 'load';
      readonly url: string;
      /** What the page has fetched of it already. */
      readonly manifest: ArrayBuffer | undefined;
      readonly options: PlainOptions;
    }
  | {
      readonly kind: 'classify';
      readonly picture: SentPicture;
      readonly options: Omit<ClassifyOptions, 'signal'>;
    }
  | { readonly kind: 'use'; readonly strategy: string }
  | { readonly kind: 'dispose' };

/** `abort` ends the call of its id. */
export type ToWorker = { readonly id: number } & (Call | { readonly kind: 'abort' });

/** What a Composite tells of itself, as it is when a call ends. */
export type Snapshot = Pick<Composite, 'plan' | 'edgeState' | 'threshold'>;

export interface SentError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails;
}

export type Event = {
  [K in keyof CompositeEvents]: { readonly name: K; readonly detail: CompositeEvents[K] };
}[keyof CompositeEvents];

export type FromWorker =
  | { readonly id: number; readonly kind: 'progress'; readonly progress: Progress }
  | { readonly id: number; readonly kind: 'done'; readonly result: Result }
  | { readonly id: number; readonly kind: 'failed'; readonly error: SentError }
  | { readonly kind: 'event'; readonly event: Event };

/** What calls give: each a part of this. */
export interface Result {
  readonly manifest?: Manifest;
  readonly snapshot?: Snapshot;
  readonly answer?: Answer;
}
