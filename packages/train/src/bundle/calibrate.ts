import { argmax, softmax } from '@tierwise/core';
import type { CodecPolicy } from '@tierwise/plan';

/**
 * The range that quantisation covers: from 0 where nothing is below it, since a ReLU ends most stems, else from the
 * 0.1st percentile; to the 99.9th percentile of what `stems` holds (DynO-style packing, systems.md section 3 step 1).
 * The few values outside are clipped.
 */
export function calibrateRange(stems: Float32Array): { lo: number; hi: number } {
  const sorted = stems.slice().sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
  const lo = sorted[0]! < 0 ? Math.fround(at(0.001)) : 0;
  return { lo, hi: Math.fround(Math.max(at(0.999), lo + 1e-6)) };
}

/** A loss that is this uncertain, as a standard error of a share of all samples, is not known well enough to rely on. */
const surest = 0.0025;

/** What a network says of some samples: its scores, [samples, classes], and which of them are right (1, else 0). */
export interface Judged {
  readonly scores: Float32Array;
  readonly right: Uint8Array;
}

/** How stems are packed, and what the widths that were tried give. */
export interface CodecChoice {
  readonly codec: CodecPolicy;
  /** Main accuracy with raw stems (`raw`) and with each width in bits that was tried. */
  readonly tried: Readonly<Record<string, number>>;
}

/**
 * The narrowest width that costs the main network at most `tolerance` of its accuracy with raw float32 stems, both by a
 * count of right answers and as `expectedLoss` has it, and of which that is known: few samples are right with one and
 * wrong with the other, so that the standard error of the count's loss is at most a quarter of a point. By the count alone
 * the width would be taken that is lucky with the samples at hand (ResNet-18, 2,000 of them: 3 bits cost nothing there and
 * 0.7 points of the test set); by `expectedLoss` alone, one that breaks a network whose scores are not those of
 * probabilities. 8 bits are enough whatever the error. `judge` is the rest on stems that a codec has written and read;
 * widths are tried from 1 bit up.
 */
export async function chooseCodec(
  range: { lo: number; hi: number },
  tolerance: number,
  judge: (codec: CodecPolicy) => Promise<Judged>,
): Promise<CodecChoice> {
  const raw = await judge({ kind: 'raw' });
  const samples = raw.right.length;
  const share = (right: Uint8Array) => right.reduce((sum, r) => sum + r, 0) / samples;
  const reached = share(raw.right);
  const tried: Record<string, number> = { raw: reached };
  for (const bits of [1, 2, 3, 4, 5, 6, 8] as const) {
    const codec = { kind: 'packed', bits, ...range } as const;
    const { scores, right } = await judge(codec);
    const still = share(right);
    tried[bits] = still;
    const changed = right.reduce((sum, r, i) => sum + Math.abs(r - raw.right[i]!), 0) / samples;
    const error = Math.sqrt((changed - (reached - still) ** 2) / samples);
    const costsLittle =
      still >= reached - tolerance && expectedLoss(raw.scores, scores, samples) <= tolerance;
    if (costsLittle && (error <= surest || bits === 8)) return { codec, tried };
  }
  return { codec: { kind: 'raw' }, tried };
}

/**
 * The accuracy that a change of `raw` scores, [samples, classes], to `scores` costs, as a share, by what the raw ones say:
 * if its probabilities p hold, an answer a is right with p[a], so that b instead of a loses p[a] - p[b]. Unlike a count of
 * right answers it cannot gain from luck with the labels at hand: where few answers change, a count is mostly chance
 * (VGG16 with 3 bits: 0.03 points fewer of 3,000 held-back samples, 0.36 of 5,000 test samples; this gives 0.18 and 0.16).
 */
export function expectedLoss(raw: Float32Array, scores: Float32Array, samples: number): number {
  const classes = raw.length / samples;
  let loss = 0;
  for (let at = 0; at < raw.length; at += classes) {
    const before = raw.subarray(at, at + classes);
    const [a, b] = [argmax(before), argmax(scores.subarray(at, at + classes))];
    if (a === b) continue;
    const p = softmax(before);
    loss += p[a]! - p[b]!;
  }
  return loss / samples;
}
