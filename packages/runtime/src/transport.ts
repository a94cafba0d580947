import type { Tensor } from '@tierwise/core';
import type { Link, Plan, Section } from '@tierwise/plan';
import type { JudgedExit } from './exits.ts';
import type { Sent } from './outcome.ts';
import type { Policies } from './policies.ts';

/** What one place asks of the next: to run `section` of `plan` and whatever follows it. */
export interface TransportRequest {
  readonly plan: Plan;
  readonly section: Section;
  /**
   * The section's inputs by name, float32, and the links that bring them, each with its codec. Packing is the
   * transport's work, so that a place that never sends needs no codec.
   */
  readonly inputs: ReadonlyMap<string, Tensor>;
  readonly links: readonly Link[];
  readonly policies: Policies;
  /** The last exit that was judged before, and not taken. */
  readonly judged?: JudgedExit | undefined;
  readonly signal?: AbortSignal | undefined;
  /** To be called when the bytes are handed to the network; a request that fails before never left. */
  readonly onSent: (sent: Sent) => void;
}

/** What came back. Times are what the other place reports, in ms; bytes are whole frames as this place counted them. */
export interface TransportReply {
  /** The scores of the exit that answered, float32 [1, C], by tensor name. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly queueMs: number;
  readonly computeMs: number;
  readonly uplinkBytes: number;
  readonly downlinkBytes: number;
}

/**
 * Carries a request to the place of its section and brings the answer back.
 * @throws TierwiseError EDGE_UNREACHABLE, TIMEOUT, OVERLOADED, DRAINING, CANCELLED, or what the other place answered
 */
export type Transport = (request: TransportRequest) => Promise<TransportReply>;
