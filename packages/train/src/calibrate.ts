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

/**
 * The narrowest width whose main accuracy is within `tolerance` of that with raw float32 stems. `accuracy` measures
 * the rest on stems that a codec has written and read; widths are tried from 1 bit up.
 */
export async function chooseCodec(
  range: { lo: number; hi: number },
  tolerance: number,
  accuracy: (codec: CodecPolicy) => Promise<number>,
): Promise<{ codec: CodecPolicy; tried: Record<string, number> }> {
  const raw = await accuracy({ kind: 'raw' });
  const tried: Record<string, number> = { raw };
  for (const bits of [1, 2, 3, 4, 5, 6, 8] as const) {
    const codec = { kind: 'packed', bits, ...range } as const;
    const reached = await accuracy(codec);
    tried[bits] = reached;
    if (reached >= raw - tolerance) return { codec, tried };
  }
  return { codec: { kind: 'raw' }, tried };
}
