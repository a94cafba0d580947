import type { ErrorCode } from '@tierwise/core';

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

/** What a run of a Plan gives for one sample with C classes. */
export interface Outcome {
  /** Exit whose scores are the answer, and the place where they were computed. */
  readonly exit: string;
  readonly place: string;
  /** Before softmax, float32 [C], and after it, float64 [C]. */
  readonly scores: Float32Array;
  readonly probabilities: Float64Array;
  /** Normalised entropy (0 certain, 1 uniform) of the first exit that was evaluated, and of the answer. */
  readonly firstEntropy: number;
  readonly entropy: number;
  /** Threshold of the first exit that has one, as applied to this sample; undefined when no exit has one. */
  readonly threshold?: number | undefined;
  readonly path: readonly PathStep[];
  /** Present once bytes were handed to the network, even when no answer came back. */
  readonly sent?: Sent | undefined;
  readonly degraded?: Degraded | undefined;
}
