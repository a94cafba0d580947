import type { ErrorCode } from '@tierwise/core';
import type { JudgedExit } from './exits.ts';

/**
 * One section that ran for an answer. A section of another place has its link in `linkMs`: the round trip as
 * this place saw it, less the queue and compute time that the other place reports. Times are milliseconds of
 * wall clock; bytes count whole frames, 0 when no link was crossed.
 */
export interface PathStep {
  readonly place: string;
  readonly section: string;
  readonly queueMs: number;
  readonly computeMs: number;
  readonly uplinkBytes: number;
  readonly downlinkBytes: number;
  readonly linkMs: number;
}

/**
 * What was handed to the network: bytes as packed, and what the same elements take as raw float32. When a link
 * carries several tensors their names are joined by ", " and `dims` is [elements of all].
 */
export interface Sent {
  readonly tensor: string;
  readonly dims: readonly number[];
  readonly bytes: number;
  readonly rawBytes: number;
}

/** Why an answer comes from an earlier exit than the Plan wanted. */
export interface Degraded {
  readonly code: ErrorCode;
  readonly reason: string;
}

/** What a run of a Plan gives for one sample. */
export interface Outcome {
  /** The first exit that was judged, which is the branch when the Plan has one; it has the threshold when any has. */
  readonly first: JudgedExit;
  /** The exit whose scores are the answer, and the place where they were computed. */
  readonly answer: JudgedExit;
  readonly place: string;
  readonly path: readonly PathStep[];
  /** Present once bytes were handed to the network, even when no answer came back. */
  readonly sent?: Sent | undefined;
  readonly degraded?: Degraded | undefined;
}
