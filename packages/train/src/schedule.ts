/**
 * Learning rate at `step` (from 0) of `steps`: linear warm-up over `warmup` steps, then half a cosine down to 0
 * (Loshchilov and Hutter 2017, SGDR, one period).
 */
export function cosineRate(peak: number, step: number, steps: number, warmup: number): number {
  if (step < warmup) return (peak * (step + 1)) / warmup;
  return (peak / 2) * (1 + Math.cos((Math.PI * (step - warmup)) / Math.max(1, steps - warmup)));
}
