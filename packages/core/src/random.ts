/**
 * Seeded randomness that can be restarted anywhere: a stream is named by numbers (seed, purpose, epoch, step),
 * so a resumed training draws what an unbroken one would have drawn, without saving generator state.
 */
export interface Random {
  /** Uniform in [0, 1) with 32 bits. */
  uniform(): number;
  /** Uniform whole number in [0, bound); `bound` in 1..2^32. */
  below(bound: number): number;
  /** Standard normal (Box-Muller). */
  normal(): number;
}

/** Mixes 32 bits thoroughly (the finaliser of MurmurHash3). */
function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * The stream named by `names`; equal names give equal streams on every machine. Not for cryptography.
 * Generator: sfc32 (Chris Doty-Humphrey, PractRand), 128 bits of state, seeded by mixing each name in turn.
 */
export function random(...names: readonly number[]): Random {
  let a = 0x9e3779b9;
  let b = 0x243f6a88;
  let c = 0xb7e15162;
  let counter = 1;
  const next = (): number => {
    const t = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  };
  for (const name of names) {
    a = mix(a ^ (name >>> 0));
    b = mix((b + Math.floor(name / 4294967296)) | 0) ^ a;
    c = mix((c + a) | 0);
  }
  for (let i = 0; i < 15; i++) next();
  let spare: number | undefined;
  return {
    uniform: () => next() / 4294967296,
    below: (bound) => Math.floor((next() / 4294967296) * bound),
    normal() {
      if (spare !== undefined) {
        const value = spare;
        spare = undefined;
        return value;
      }
      const radius = Math.sqrt(-2 * Math.log((next() + 1) / 4294967297));
      const angle = 2 * Math.PI * (next() / 4294967296);
      spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    },
  };
}

/** The numbers 0..n-1 in an order drawn from `stream` (Fisher-Yates). */
export function permutation(n: number, stream: Random): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = stream.below(i + 1);
    const kept = order[i]!;
    order[i] = order[j]!;
    order[j] = kept;
  }
  return order;
}
