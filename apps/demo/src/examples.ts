/** Hand-made drawings: three digits that are plain and three that sit between two, and outlines of clothes. */
import type { Subject } from './modes.ts';
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

const digits: readonly Example[] = [
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

/** An outline with corners at every point. */
const outline = (...points: readonly (readonly [number, number])[]): Stroke =>
  stroke(...[...points, points[0]!].flatMap((point) => [point, point]));

const clothes: readonly Example[] = [
  {
    name: 'a T-shirt',
    strokes: [
      outline(
        [36, 14],
        [44, 18],
        [56, 18],
        [64, 14],
        [86, 26],
        [79, 43],
        [69, 38],
        [69, 86],
        [31, 86],
        [31, 38],
        [21, 43],
        [14, 26],
      ),
    ],
  },
  {
    name: 'trousers',
    strokes: [outline([36, 12], [64, 12], [70, 88], [55, 88], [50, 34], [45, 88], [30, 88])],
  },
  {
    name: 'a pullover',
    strokes: [
      outline(
        [38, 14],
        [62, 14],
        [76, 20],
        [88, 82],
        [77, 85],
        [68, 44],
        [68, 86],
        [32, 86],
        [32, 44],
        [23, 85],
        [12, 82],
        [24, 20],
      ),
    ],
  },
  {
    name: 'a bag',
    strokes: [
      outline([14, 42], [86, 42], [90, 84], [10, 84]),
      stroke(
        [32, 42],
        [34, 22],
        [50, 15],
        [66, 22],
        [68, 42],
        [68, 42],
        [62, 42],
        [62, 42],
        [59, 27],
        [50, 22],
        [41, 27],
        [38, 42],
        [38, 42],
        [32, 42],
      ),
    ],
  },
  {
    name: 'a sneaker',
    strokes: [
      outline([10, 40], [24, 42], [34, 38], [48, 50], [66, 57], [86, 60], [91, 70], [90, 74], [10, 74]),
    ],
  },
  {
    name: 'an ankle boot',
    strokes: [
      outline(
        [38, 12],
        [64, 12],
        [64, 46],
        [84, 58],
        [90, 70],
        [90, 86],
        [54, 86],
        [50, 78],
        [46, 86],
        [36, 86],
        [36, 60],
      ),
    ],
  },
];

export const examples: Readonly<Record<Subject, readonly Example[]>> = { digits, clothes };
