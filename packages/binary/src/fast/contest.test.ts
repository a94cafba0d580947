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
  let invitations = 0;
  const run = contest(
    executor,
    async () => {
      invitations++;
      return challenger;
    },
    () => clockMs,
  );
  return {
    run,
    ran,
    plain,
    challenger,
    invitations: () => invitations,
    async finish() {
      run(input);
      await Promise.resolve();
      for (let i = 0; i < 200; i++) run(input);
      return table;
    },
  };
}

test('the challenger stays when it is faster', async () => {
  const { finish, challenger, invitations } = race(2, 1);
  expect(await finish()).toBe(challenger);
  expect(invitations()).toBe(1);
});

test('the plain kernels stay when the challenger is slower, or no faster to speak of', async () => {
  const slower = race(1, 2);
  expect(await slower.finish()).toBe(slower.plain);
  const alike = race(100, 99);
  expect(await alike.finish()).toBe(alike.plain);
});

test('the first run does not wait, and then both run as often', async () => {
  const { run, ran, finish, plain, challenger } = race(1, 1);
  run(input);
  expect(ran).toEqual([plain]);
  await finish();
  const turns = ran.slice(0, 114);
  expect(turns.filter((table) => table === challenger).length).toBe(56);
});

test('without a challenger all stays as it is', async () => {
  const executor: Executor = {
    kernels: race(1, 1) as never,
    outputs: [],
    run() {},
    use() {
      throw new Error('nothing to change to');
    },
  };
  const run = contest(
    executor,
    async () => {
      throw new Error('no relaxed SIMD here');
    },
    () => 0,
  );
  for (let i = 0; i < 200; i++) {
    run(input);
    await Promise.resolve();
  }
});
