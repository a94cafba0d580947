/** What comes in and goes out: planes of float32, which kernels have as channels side by side. */
import { isPlanar, type Place, type Planner } from './planner.ts';

/** Takes planes of float32 from where the caller writes them; gives that place. */
export function planInput(planner: Planner): Place {
  const to = planner.write(0);
  if (isPlanar(to)) return to;
  const { c, h, w } = to.info.shape;
  const from = planner.place(to.info, 4 * c);
  planner.run('arrange', 'arrange', () => ({
    width: w,
    height: h,
    channels: c,
    source: from.at(),
    sourcePixel: 4,
    sourceRow: 4 * w,
    sourceChannel: 4 * w * h,
    dest: to.at(),
    destPixel: to.pixel,
    destRow: to.row,
    destChannel: 4,
  }));
  return from;
}

/** Gives `value` as planes of float32, bits as +1 and -1, at a place that holds until the next run. */
export function planOutput(planner: Planner, value: number): Place {
  const from = planner.read(value);
  const { kind, shape } = from.info;
  const { c, h, w } = shape;
  const to = isPlanar(from) ? from : planner.place({ kind: 'real', shape }, 4 * c);
  to.block.last = Number.POSITIVE_INFINITY;
  if (to === from) return to;
  const common = {
    width: w,
    height: h,
    channels: c,
    sourcePixel: from.pixel,
    sourceRow: from.row,
  };
  if (kind === 'bits') {
    planner.run('spread', 'spread', () => ({ ...common, source: from.at(), dest: to.at() }));
  } else {
    planner.run('arrange', 'arrange', () => ({
      ...common,
      source: from.at(),
      sourceChannel: 4,
      dest: to.at(),
      destPixel: 4,
      destRow: 4 * w,
      destChannel: 4 * w * h,
    }));
  }
  return to;
}
