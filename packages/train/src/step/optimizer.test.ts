import { random, tensor } from '@tierwise/core';
import { GraphBuilder, writeOnnx } from '@tierwise/graph';
import { openSession } from '@tierwise/ort';
import { expect, test } from 'vitest';
import type { ParameterKind } from '../layers/training.ts';
import { cosineRate } from '../training/schedule.ts';
import { adam, keepInRange, type Optimizer, sgd } from './optimizer.ts';

/** Adam and SGD as their papers write them, one number at a time. */
const plain = {
  adam(p: number, g: number, [m, v]: number[], rate: number, t: number) {
    const first = 0.9 * m! + 0.1 * g;
    const second = 0.999 * v! + 0.001 * g * g;
    const step = first / (1 - 0.9 ** t) / (Math.sqrt(second / (1 - 0.999 ** t)) + 1e-8);
    return { p: p - rate * step, slots: [first, second] };
  },
  sgd(p: number, g: number, [v]: number[], rate: number) {
    // The slot holds 0.9 times the velocity.
    const velocity = v! + g;
    return { p: p - rate * (g + 0.9 * velocity), slots: [0.9 * velocity] };
  },
};

for (const optimizer of [adam, sgd] as Optimizer[])
  test(`${optimizer.name} in the graph does what its formula says, step after step`, async () => {
    const b = new GraphBuilder('update');
    const dims = [5];
    const [p, g] = [b.input('p', 'float32', dims), b.input('g', 'float32', dims)];
    const rate = b.input('rate', 'float32', []);
    const slots = optimizer.slots.map((name) => b.input(name, 'float32', dims));
    for (const name of Object.keys(optimizer.scalars(1))) b.input(name, 'float32', []);
    const update = optimizer.update(b, p, g, slots, rate, (name) => name);
    b.output(update.value, 'float32', dims, 'p.next');
    for (const [i, slot] of update.slots.entries()) b.output(slot, 'float32', dims, `slot${i}.next`);
    const session = await openSession(writeOnnx(b.model));
    const r = random(3);
    const vector = (values: ArrayLike<number>) => tensor('float32', dims, Float32Array.from(values));
    let values = Array.from({ length: 5 }, () => r.normal());
    let states = values.map(() => optimizer.slots.map(() => 0));
    for (let t = 1; t <= 20; t++) {
      const gradient = values.map(() => r.normal());
      const scalars = Object.entries(optimizer.scalars(t)).map(
        ([name, value]) => [name, tensor('float32', [], Float32Array.of(value))] as const,
      );
      const outputs = await session.run(
        new Map([
          ['p', vector(values)],
          ['g', vector(gradient)],
          ['rate', tensor('float32', [], Float32Array.of(0.01))],
          ...optimizer.slots.map((name, i) => [name, vector(states.map((s) => s[i]!))] as const),
          ...scalars,
        ]),
      );
      const expected = values.map((value, i) =>
        plain[optimizer.name](value, gradient[i]!, states[i]!, 0.01, t),
      );
      for (const [i, { p: next, slots: after }] of expected.entries()) {
        expect(Number(outputs.get('p.next')!.data[i])).toBeCloseTo(next, 5);
        for (const [j, slot] of after.entries())
          expect(Number(outputs.get(`slot${j}.next`)!.data[i])).toBeCloseTo(slot, 5);
      }
      values = expected.map((e) => e.p);
      states = expected.map((e) => e.slots);
    }
    await session.dispose();
  });

test('each kind of parameter is kept where it belongs', async () => {
  const kinds: Record<ParameterKind, number[]> = {
    weight: [3 - 0.5 * 0.1 * 3, -2 + 0.5 * 0.1 * 2],
    plain: [3, -2],
    gamma: [3, 0.01],
    latent: [1, -1],
  };
  for (const [kind, expected] of Object.entries(kinds)) {
    const b = new GraphBuilder('range');
    const x = b.input('x', 'float32', [2]);
    b.output(
      keepInRange(b, kind as ParameterKind, x, b.op('Identity', [x]), b.scalar(0.5), 0.1),
      'float32',
      [2],
      'y',
    );
    const session = await openSession(writeOnnx(b.model));
    const y = (await session.run({ x: tensor('float32', [2], Float32Array.of(3, -2)) })).get('y')!
      .data as Float32Array;
    for (const [i, value] of expected.entries()) expect(y[i], kind).toBeCloseTo(value, 5);
    await session.dispose();
  }
});

test('the rate warms up, peaks once and ends near zero', () => {
  const rates = Array.from({ length: 100 }, (_, step) => cosineRate(0.1, step, 100, 10));
  expect(rates[0]).toBeCloseTo(0.01);
  expect(Math.max(...rates)).toBeCloseTo(0.1);
  expect(rates.indexOf(Math.max(...rates))).toBe(9);
  expect(rates[99]).toBeLessThan(1e-4);
  for (let i = 11; i < 100; i++) expect(rates[i]!).toBeLessThan(rates[i - 1]!);
});
