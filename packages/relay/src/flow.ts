import type { Socket } from 'node:net';
import type { Clock } from './clock.ts';
import type { Line } from './line.ts';
import { reset } from './reset.ts';

/** What a line does to each connection once `afterBytes` bytes of it have arrived. */
export interface Fault {
  /**
   * `stall`: nothing more arrives, and both connections stay open. `cut`: the receiver sees an orderly end.
   * `reset`: both ends see the connection reset.
   */
  readonly kind: 'stall' | 'cut' | 'reset';
  readonly afterBytes: number;
}

export interface FlowOptions {
  readonly from: Socket;
  readonly to: Socket;
  readonly line: Line;
  readonly clock: Clock;
  readonly fault: Fault | undefined;
  /** Bytes that may be under way before the sender is made to wait. */
  readonly windowBytes: number;
  readonly onDelivered: (bytes: number) => void;
}

/** Data is handed to the line in pieces of what an Ethernet frame carries, so that it trickles as it would in truth. */
const segmentBytes = 1448;

/** What is under way: data, or the end of it. */
type Parcel =
  | { readonly atMs: number; readonly data: Uint8Array }
  | { readonly atMs: number; readonly end: 'orderly' | 'reset' };

/**
 * Carries what `from` sends to `to` over `line`, in order, up to and including its end. The function it gives
 * drops what is under way; the sockets are the caller's.
 */
export function startFlow({
  from,
  to,
  line,
  clock,
  fault,
  windowBytes,
  onDelivered,
}: FlowOptions): () => void {
  const underWay: Parcel[] = [];
  let underWayBytes = 0;
  let acceptedBytes = 0;
  let ended = false;
  let cancelTimer: (() => void) | undefined;

  function push(parcel: Parcel): void {
    underWay.push(parcel);
    if (underWay.length === 1) wait();
  }

  function wait(): void {
    const next = underWay[0];
    if (next !== undefined) cancelTimer = clock.at(next.atMs, deliver);
  }

  function deliver(): void {
    const now = clock.now();
    const due: Uint8Array[] = [];
    let end: 'orderly' | 'reset' | undefined;
    for (let next = underWay[0]; next !== undefined && next.atMs <= now; next = underWay[0]) {
      underWay.shift();
      if ('data' in next) due.push(next.data);
      else end = next.end;
    }
    if (due.length > 0 && !to.destroyed) {
      const data = Buffer.concat(due);
      to.write(data, () => {
        underWayBytes -= data.length;
        if (!ended && underWayBytes <= windowBytes) from.resume();
      });
      onDelivered(data.length);
    }
    if (end === 'orderly') to.end();
    if (end === 'reset') {
      reset(to);
      reset(from);
    }
    wait();
  }

  function finish(end: 'orderly' | 'reset'): void {
    if (ended) return;
    ended = true;
    push({ atMs: line.arrivalMs(0, clock.now()), end });
  }

  function fail(kind: Fault['kind']): void {
    from.off('data', accept);
    if (kind === 'stall') {
      // The sender goes on until every buffer on the way is full, and neither end is ever told.
      ended = true;
      from.pause();
    } else {
      finish(kind === 'reset' ? 'reset' : 'orderly');
      // What comes after the end is read and forgotten, so that the sender can close in its own time.
      from.resume();
    }
  }

  function accept(chunk: Uint8Array): void {
    const allowed =
      fault === undefined ? chunk.length : Math.min(chunk.length, fault.afterBytes - acceptedBytes);
    for (let start = 0; start < allowed; start += segmentBytes) {
      const data = chunk.subarray(start, Math.min(allowed, start + segmentBytes));
      push({ atMs: line.arrivalMs(data.length, clock.now()), data });
    }
    acceptedBytes += allowed;
    underWayBytes += allowed;
    if (fault !== undefined && acceptedBytes === fault.afterBytes) fail(fault.kind);
    else if (underWayBytes > windowBytes) from.pause();
  }

  from.on('data', accept);
  from.on('end', () => finish('orderly'));
  // An error is always followed by a close, and a close after the end of the data changes nothing.
  from.on('error', () => {});
  from.on('close', () => finish('reset'));
  return () => {
    ended = true;
    cancelTimer?.();
    underWay.length = 0;
  };
}
