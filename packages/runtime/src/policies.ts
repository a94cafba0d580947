import type { CodecPolicy } from '@tierwise/plan';

/** What overrides the Plan's policies for one sample. */
export interface Policies {
  /** Threshold of every entropy exit judged here, 0..1.01. */
  readonly threshold?: number | undefined;
  /** Codec of every link that leaves this place. */
  readonly codec?: CodecPolicy | undefined;
  /** How long the transport may take, ms; its own default when undefined. */
  readonly timeoutMs?: number | undefined;
  /** Given when the sample has been answered and is sent to be counted: the chance with which that happens, above 0. */
  readonly auditShare?: number | undefined;
}
