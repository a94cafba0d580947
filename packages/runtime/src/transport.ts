import type { Tensor } from '@tierwise/core';

/** What one place asks of the next: run `section` (offered there as `model`) and whatever follows it. */
export interface TransportRequest {
  readonly model: string;
  readonly section: string;
  /** Id of the Plan that the request belongs to. */
  readonly plan: string;
  /** Packed tensors by name: UINT8 of rank 1, as `pack` of @tierwise/wire writes them. */
  readonly tensors: ReadonlyMap<string, Tensor<'uint8'>>;
  readonly signal?: AbortSignal | undefined;
  /** Time until the request fails with TIMEOUT, ms; the transport's own default when undefined. */
  readonly timeoutMs?: number | undefined;
  /** To be called when the bytes are handed to the network; a request that fails before never left. */
  readonly onSent: () => void;
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
