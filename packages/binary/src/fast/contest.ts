import type { KernelTable } from '../kernels/kernels.ts';
import type { Executor } from './executor.ts';

/** Rounds that do not count: browsers compile what runs often a second time, better. */
const warmUpRounds = 16;
const countedRounds = 96;
/** Who plays in a round. Either is as often first as second. */
const order = [0, 1, 1, 0] as const;
/** The challenger wins with less than this share of the time; a draw is not worth another's code. */
const winningShare = 0.97;

/**
 * Runs `executor`, and finds out by the way whether the `challenger`, other kernels on the same memory, is faster here:
 * the two take turns on the samples that come anyway, and the faster stays. Both calculate the same, so nobody sees but
 * by the clock. Coarse clocks, as browsers have them, average out over the rounds. `now` is in milliseconds.
 */
export function contest(
  executor: Executor,
  challenger: KernelTable,
  now: () => number,
): (input: Float32Array) => void {
  const tables = [executor.kernels.table, challenger] as const;
  let round = 0;
  const spentMs: [number, number] = [0, 0];
  return (input) => {
    if (round === warmUpRounds + countedRounds) {
      executor.run(input);
      return;
    }
    const player = order[round % order.length]!;
    executor.use(tables[player]);
    const startMs = now();
    executor.run(input);
    if (round >= warmUpRounds) spentMs[player] += now() - startMs;
    round++;
    if (round === warmUpRounds + countedRounds) {
      executor.use(tables[spentMs[1] < winningShare * spentMs[0] ? 1 : 0]);
    }
  };
}
