/** Hand-made drawings: three that are plain and three that sit between two digits. */
import type { Stroke } from './strokes.ts';

export interface Example {
  /** What a screen reader says: "Draw <name>". */
  readonly name: string;
  readonly strokes: readonly Stroke[];
}

/** Points in hundredths of the sheet's side; a point given twice is a corner. */
function stroke(...points: readonly (readonly [number, number])[]): Stroke {
  return points.map(([x, y]) => ({ x: x / 100, y: y / 100 }));
}

export const examples: readonly Example[] = [
  {
    name: 'a plain 7',
    strokes: [stroke([25, 22], [50, 20], [73, 20], [73, 20], [62, 44], [51, 66], [44, 86])],
  },
  {
    name: 'a plain 3',
    strokes: [
      stroke(
        [31, 24],
        [42, 16],
        [58, 16],
        [67, 27],
        [59, 41],
        [45, 47],
        [45, 47],
        [62, 51],
        [71, 64],
        [64, 80],
        [48, 86],
        [33, 81],
        [28, 73],
      ),
    ],
  },
  {
    name: 'a plain 0',
    strokes: [
      stroke(
        [50, 14],
        [40, 16],
        [29, 36],
        [28, 58],
        [35, 78],
        [50, 86],
        [64, 79],
        [72, 58],
        [71, 36],
        [61, 17],
        [50, 14],
      ),
    ],
  },
  {
    name: 'something between 4 and 9',
    strokes: [
      stroke([49, 18], [37, 24], [32, 37], [38, 47], [54, 47], [67, 42]),
      stroke([70, 17], [67, 40], [64, 62], [61, 87]),
    ],
  },
  {
    name: 'something between 1 and 7',
    strokes: [stroke([38, 30], [47, 26], [56, 15], [56, 15], [54, 40], [51, 63], [48, 87])],
  },
  {
    name: 'something between 0 and 6',
    strokes: [
      stroke(
        [60, 14],
        [45, 20],
        [33, 40],
        [30, 62],
        [38, 81],
        [52, 86],
        [66, 78],
        [71, 62],
        [66, 46],
        [55, 34],
        [44, 36],
        [37, 42],
      ),
    ],
  },
];
