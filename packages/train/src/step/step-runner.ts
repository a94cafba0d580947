import { elementCount, type Tensor, tensor } from '@tierwise/core';
import { openSession } from '@tierwise/ort';
import type { Optimizer } from './optimizer.ts';
import type { TrainingStep } from './step.ts';

export type State = ReadonlyMap<string, Tensor<'float32'>>;

/** A training step that is loaded, and its state. */
export interface StepRunner extends AsyncDisposable {
  /** As the last run left it. The run after the next one writes into the same buffers. */
  readonly state: State;
  /**
   * Runs the step once. `feeds` is what it learns from, its targets and masks; `number` counts the phase's steps from 1.
   * Gives the loss and the count of hits of each head, in their order.
   */
  run(
    feeds: Iterable<readonly [string, Tensor]>,
    rate: number,
    number: number,
  ): Promise<{ readonly loss: number; readonly correct: number }[]>;
}

/**
 * Loads `step` with the state `start`, which it takes over. onnxruntime writes into preallocated outputs, so there are
 * two sets of buffers in turn.
 */
export async function openStep(
  step: TrainingStep,
  options: { readonly optimizer: Optimizer; readonly start: State; readonly threads: number },
): Promise<StepRunner> {
  const session = await openSession(step.model, { threads: options.threads });
  let state = options.start;
  let next: State = new Map(
    [...state].map(([name, { dims }]) => [
      name,
      tensor('float32', dims, new Float32Array(elementCount(dims))),
    ]),
  );
  const scalar = (value: number) => tensor('float32', [], Float32Array.of(value));
  const metrics = step.heads.flatMap((head) => [`loss.${head}`, `correct.${head}`]);
  return {
    get state() {
      return state;
    },
    async run(given, rate, number) {
      const feeds = new Map<string, Tensor>([...state, ...given]);
      feeds.set('rate', scalar(rate));
      for (const [name, value] of Object.entries(options.optimizer.scalars(number)))
        feeds.set(name, scalar(value));
      const fetches = new Map<string, Tensor | null>([...next].map(([name, t]) => [`${name}.next`, t]));
      for (const name of metrics) fetches.set(name, null);
      const outputs = await session.run(feeds, fetches);
      [state, next] = [next, state];
      const value = (name: string) => Number(outputs.get(name)!.data[0]);
      return step.heads.map((head) => ({ loss: value(`loss.${head}`), correct: value(`correct.${head}`) }));
    },
    [Symbol.asyncDispose]: () => session.dispose(),
  };
}

/**
 * The state that a step starts with: `known` weights where there are any, else `drawn` ones; slots of the optimiser are
 * zero.
 */
export function freshState(
  step: TrainingStep,
  drawn: ReadonlyMap<string, Float32Array>,
  known: ReadonlyMap<string, Float32Array> = new Map(),
): State {
  return new Map(
    step.state.map(({ name, dims }) => {
      const values = new Float32Array(elementCount(dims));
      const start = drawn.has(name) ? (known.get(name) ?? drawn.get(name)) : undefined;
      if (start) values.set(start);
      return [name, tensor('float32', dims, values)];
    }),
  );
}
