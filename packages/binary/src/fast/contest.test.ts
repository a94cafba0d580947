import { expect, test } from 'vitest';
import type { KernelTable } from '../kernels/kernels.ts';
import { contest } from './contest.ts';
import type { Executor } from './executor.ts';

const input = new Float32Array(1);

/** An executor whose runs take as long as its kernels say, on a clock of its own, and kernels that say so. */
function race(plainMs: number, challengerMs: number) {
  const plain = {} as KernelTable;
  const challenger = {} as KernelTable;
  let table = plain;
  let clockMs = 0;
  const ran: KernelTable[] = [];
  const executor: Executor = {
    kernels: {
      name: 'simd',
      layout: { unitBytes: 1, lanes: true },
      memory: { buffer: new ArrayBuffer(0) },
      table,
    },
    outputs: [],
    run() {
      ran.push(table);
      clockMs += table === plain ? plainMs : challengerMs;
    },
    use(other) {
      table = other;
    },
  };
  const run = contest(executor, challenger, () => clockMs);
  return {
    run,
    ran,
    plain,
    challenger,
    finish() {
      for (let i = 0; i < 200; i++) run(input);
      return table;
    },
  };
}

test('the challenger stays when it is faster', () => {
  const { finish, challenger } = race(2, 1);
  expect(finish()).toBe(challenger);
});

test('the plain kernels stay when the challenger is slower, or no faster to speak of', () => {
  const slower = race(1, 2);
  expect(slower.finish()).toBe(slower.plain);
  const alike = race(100, 99);
  expect(alike.finish()).toBe(alike.plain);
});

test('both run as often until one has won', () => {
  const { ran, finish, plain, challenger } = race(1, 1);
  finish();
  const turns = ran.slice(0, 112);
  expect(turns.filter((table) => table === challenger).length).toBe(56);
  expect(new Set(ran.slice(112))).toEqual(new Set([plain]));
});
