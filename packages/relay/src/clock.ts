/** Where a relay gets its time from; tests give their own. */
export interface Clock {
  /** Milliseconds since some fixed moment. */
  now(): number;
  /** Calls `callback` once when `now()` has reached `timeMs`, or a little later. Gives a function that calls it off. */
  at(timeMs: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  at(timeMs, callback) {
    const timer = setTimeout(callback, Math.max(0, timeMs - performance.now()));
    return () => clearTimeout(timer);
  },
};
