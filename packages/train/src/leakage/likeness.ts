/** Pictures that are compared: values 0..255, one after the other, all of one shape [channels, height, width]. */
export interface Pictures {
  readonly data: Uint8Array;
  readonly samples: number;
  readonly height: number;
  readonly width: number;
}

/** How near rebuilt pictures are to the true ones. */
export interface Likeness {
  /** 10 log10(1 / mean square error over all pixels of all pictures), pixels in 0..1; undefined when they are equal. */
  readonly psnrDb: number | undefined;
  /** Structural similarity (Wang et al. 2004), mean over all windows of 7 x 7 pixels: 1 is equal, 0 is unlike. */
  readonly ssim: number;
  /** Share of the rebuilt pictures whose nearest true one, by square error, is the one that they were made from. */
  readonly reidentified: number;
}

/** @param rebuilt in the order of `truth`, which holds as many */
export function likeness(truth: Pictures, rebuilt: Uint8Array): Likeness {
  return {
    psnrDb: psnr(truth.data, rebuilt),
    ssim: ssim(truth, rebuilt),
    reidentified: found(truth, rebuilt),
  };
}

export function psnr(truth: Uint8Array, rebuilt: Uint8Array): number | undefined {
  let sum = 0;
  for (let i = 0; i < truth.length; i++) sum += (truth[i]! - rebuilt[i]!) ** 2;
  return sum === 0 ? undefined : 10 * Math.log10((255 ** 2 * truth.length) / sum);
}

const side = 7;
const [flat, quiet] = [(0.01 * 255) ** 2, (0.03 * 255) ** 2];

function ssim({ data, height, width }: Pictures, rebuilt: Uint8Array): number {
  const [wide, high] = [Math.min(side, width), Math.min(side, height)];
  const n = wide * high;
  const planes = data.length / (height * width);
  let total = 0;
  for (let plane = 0; plane < planes; plane++)
    for (let top = 0; top + high <= height; top++)
      for (let left = 0; left + wide <= width; left++) {
        let [a, b, aa, bb, ab] = [0, 0, 0, 0, 0];
        for (let y = top; y < top + high; y++)
          for (let x = left; x < left + wide; x++) {
            const at = (plane * height + y) * width + x;
            const [p, q] = [data[at]!, rebuilt[at]!];
            a += p;
            b += q;
            aa += p * p;
            bb += q * q;
            ab += p * q;
          }
        const [ma, mb] = [a / n, b / n];
        const [va, vb, cov] = [aa / n - ma * ma, bb / n - mb * mb, ab / n - ma * mb];
        total +=
          ((2 * ma * mb + flat) * (2 * cov + quiet)) / ((ma * ma + mb * mb + flat) * (va + vb + quiet));
      }
  return total / (planes * (height - high + 1) * (width - wide + 1));
}

function found({ data, samples }: Pictures, rebuilt: Uint8Array): number {
  const size = data.length / samples;
  let right = 0;
  for (let i = 0; i < samples; i++) {
    let best = Number.POSITIVE_INFINITY;
    let nearest = -1;
    for (let j = 0; j < samples; j++) {
      let sum = 0;
      for (let k = 0; k < size && sum < best; k++) sum += (rebuilt[i * size + k]! - data[j * size + k]!) ** 2;
      if (sum < best) [best, nearest] = [sum, j];
    }
    if (nearest === i) right++;
  }
  return right / samples;
}
