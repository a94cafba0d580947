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

/** How stems are packed, and what the widths that were tried give. */
export interface CodecChoice {
  readonly codec: CodecPolicy;
  /** Main accuracy with raw stems (`raw`) and with each width in bits that was tried. */
  readonly tried: Readonly<Record<string, number>>;
}

/**
 * The narrowest width that costs the main network at most `tolerance` of its accuracy with raw float32 stems, and of
 * which that is known: few samples are right with one and wrong with the other, so that the standard error of the loss
 * is at most a quarter of a point. Without that, among several widths the one would be taken that is lucky with the
 * samples at hand (ResNet-18, 2,000 of them: 3 bits cost nothing there and 0.7 points of the test set). 8 bits are
 * enough whatever the error. `judge` tells which samples the rest gets right (1, else 0) on stems that a codec has
 * written and read; widths are tried from 1 bit up.
 */
export async function chooseCodec(
  range: { lo: number; hi: number },
  tolerance: number,
  judge: (codec: CodecPolicy) => Promise<Uint8Array>,
): Promise<CodecChoice> {
  const raw = await judge({ kind: 'raw' });
  const samples = raw.length;
  const share = (right: Uint8Array) => right.reduce((sum, r) => sum + r, 0) / samples;
  const reached = share(raw);
  const tried: Record<string, number> = { raw: reached };
  for (const bits of [1, 2, 3, 4, 5, 6, 8] as const) {
    const codec = { kind: 'packed', bits, ...range } as const;
    const right = await judge(codec);
    const still = share(right);
    tried[bits] = still;
    const changed = right.reduce((sum, r, i) => sum + Math.abs(r - raw[i]!), 0) / samples;
    const error = Math.sqrt((changed - (reached - still) ** 2) / samples);
    if (still >= reached - tolerance && (error <= surest || bits === 8)) return { codec, tried };
  }
  return { codec: { kind: 'raw' }, tried };
}
