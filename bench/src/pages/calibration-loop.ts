/** Milliseconds that `rounds` rounds of arithmetic take; about 150 ms for 10^8 on a desktop of 2023. */
export function loop(rounds: number): number {
  const began = performance.now();
  let x = 1;
  for (let i = 0; i < rounds; i++) x = (Math.imul(x, 1664525) + 1013904223) | 0;
  const ms = performance.now() - began;
  // Uses the result, so that the loop cannot be left out.
  return x === 42 ? ms + 1e-9 : ms;
}
