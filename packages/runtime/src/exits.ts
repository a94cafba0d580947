import { energyOf, normalizedEntropy, softmax, type Tensor, TierwiseError } from '@tierwise/core';
import type { Exit, Plan } from '@tierwise/plan';

/** An exit with the scores it was judged by. */
export interface JudgedExit {
  readonly exit: Exit;
  /** Before softmax, float32 [C], and after it, float64 [C]. */
  readonly scores: Float32Array;
  readonly probabilities: Float64Array;
  /** Normalised entropy: 0 certain, 1 uniform. */
  readonly entropy: number;
  /** log sum exp of the scores: the less, the less the sample is like what was learnt. */
  readonly energy: number;
  /** The threshold applied; undefined for an exit that always answers. */
  readonly threshold: number | undefined;
  /** Whether these scores are the answer: always for `end`, else when entropy < threshold, strictly. */
  readonly taken: boolean;
}

/**
 * Judges one sample by the scores of `exit` among `outputs`. `threshold` replaces the Plan's.
 * @throws TierwiseError TENSOR_INVALID naming the section when the scores are missing, mis-shaped or not finite
 */
export function judge(
  plan: Plan,
  exit: Exit,
  outputs: ReadonlyMap<string, Tensor>,
  threshold: number | undefined,
): JudgedExit {
  const { policy } = exit;
  const scores = checkScores(plan, exit, outputs.get(exit.scores));
  const probabilities = softmax(scores);
  const entropy = normalizedEntropy(probabilities);
  const limit = policy.kind === 'end' ? undefined : (threshold ?? policy.threshold);
  const taken = limit === undefined || entropy < limit;
  const energy = energyOf(scores, probabilities);
  return { exit, scores, probabilities, entropy, energy, threshold: limit, taken };
}

function checkScores(plan: Plan, exit: Exit, found: Tensor | undefined): Float32Array {
  const refuse = (problem: string): TierwiseError =>
    new TierwiseError(
      'TENSOR_INVALID',
      `section ${exit.section}: scores "${exit.scores}" of exit ${exit.id} ${problem}`,
      { section: exit.section, tensor: exit.scores },
    );
  if (found === undefined) throw refuse('are missing');
  const { data, dims, dtype } = found;
  const section = plan.sections.find((candidate) => candidate.id === exit.section);
  const port = section?.outputs.find((output) => output.tensor === exit.scores);
  if (!(data instanceof Float32Array) || `${dims}` !== `${port?.dims}`) {
    throw refuse(`are ${dtype} [${dims}], not float32 [${port?.dims}]`);
  }
  const bad = data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw refuse(`hold ${data[bad]} for class ${bad}`);
  return data;
}
