/**
 * One direction of a link as arithmetic: a serial line that carries one bit after the other at a fixed rate, then a
 * fixed delay. Everything that goes this way shares it, first come first served, so concurrent connections divide
 * the rate. Nothing is lost and nothing overtakes.
 */
export interface LineOptions {
  readonly bitsPerSecond: number;
  /** One way, from the last bit leaving to it arriving. */
  readonly delayMs: number;
}

export interface Line {
  /** When the last of `bytes` bytes handed over at `nowMs` arrives; never before an earlier call's answer. */
  arrivalMs(bytes: number, nowMs: number): number;
}

export function createLine({ bitsPerSecond, delayMs }: LineOptions): Line {
  let freeAtMs = -Infinity;
  return {
    arrivalMs(bytes, nowMs) {
      freeAtMs = Math.max(freeAtMs, nowMs) + (bytes * 8 * 1000) / bitsPerSecond;
      return freeAtMs + delayMs;
    },
  };
}
