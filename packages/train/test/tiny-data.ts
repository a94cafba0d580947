import { random } from '@tierwise/core';
import type { Dataset } from '@tierwise/data';

/** Pictures of 28 x 28 that a small network tells apart: each class is a bright square in a place of its own, with noise. */
export function tinyData(samples: number, seed: number): Dataset {
  const images = new Uint8Array(samples * 784);
  const labels = new Uint16Array(samples);
  const r = random(seed, 99);
  for (let n = 0; n < samples; n++) {
    const label = r.below(10);
    labels[n] = label;
    const [top, left] = [4 + 12 * Math.floor(label / 5), 1 + 5 * (label % 5)];
    for (let i = 0; i < 784; i++) {
      const [y, x] = [Math.floor(i / 28), i % 28];
      const inside = y >= top && y < top + 8 && x >= left && x < left + 5;
      images[n * 784 + i] = (inside ? 180 : 0) + r.below(60);
    }
  }
  return {
    name: 'tiny',
    classes: Array.from({ length: 10 }, (_, i) => `${i}`),
    channels: 1,
    height: 28,
    width: 28,
    images,
    labels,
    samples,
  };
}
