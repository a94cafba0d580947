import type { Tensor } from '@tierwise/core';
import type { CodecPolicy } from '@tierwise/plan';

/** A tensor on its way out (float32), and how it is to be written. */
export interface Outgoing {
  readonly value: Tensor;
  readonly codec: CodecPolicy;
}

/** What one place asks of the next: run `section` (offered there as `model`) and whatever follows it. */
export interface TransportRequest {
  readonly model: string;
  readonly section: string;
  /** Id of the Plan that the request belongs to. */
  readonly plan: string;
  /** By name. Packing is the transport's work, so that a place that never sends needs no codec. */
  readonly tensors: ReadonlyMap<string, Outgoing>;
  readonly signal?: AbortSignal | undefined;
  /** Time until the request fails with TIMEOUT, ms; the transport's own default when undefined. */
  readonly timeoutMs?: number | undefined;
  /**
   * To be called when the bytes are handed to the network, with those that the tensors took as packed; a request
   * that fails before never left.
   */
  readonly onSent: (packedBytes: number) => void;
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
