/** The kernels of each stage, written into a Planner. */
import { roundUp } from '../kernels/layout.ts';
import { realThresholds, sumThresholds } from '../kernels/thresholds.ts';
import { type BinaryWeights, greatestWhole, pairedWeights, type RealWeights } from '../kernels/weights.ts';
import type { LoadedProgram, Op, TensorRef, ValueInfo, Window } from '../program.ts';
import type { Stage } from './fuse.ts';
import type { Constant, Place, Planner } from './planner.ts';

type StageOf<K extends Stage['kind']> = Extract<Stage, { kind: K }>;
type Tensors = LoadedProgram['tensors'];

/** Greatest sum of any layer (infer.ts). Whole numbers up to it are exact in float32. */
const mostSum = 2 ** 24;

const dataOf = <T>(tensors: Tensors, ref: TensorRef) => tensors.get(ref)!.data as T;

/** Writes the kernels of `stage` into `planner`. */
export function planStage(planner: Planner, stage: Stage, tensors: Tensors): void {
  if (stage.kind === 'binary') planBinary(planner, stage, tensors);
  else if (stage.kind === 'blend') planBlend(planner, stage, tensors);
  else {
    const { op } = stage;
    const from = planner.read(op.input);
    const to = planner.write(op.output);
    switch (op.kind) {
      case 'convReal':
      case 'denseReal':
        planReal(planner, op, from, to, tensors);
        break;
      case 'meanPool':
        planMean(planner, from, to);
        break;
      case 'maxPool':
        planPool(planner, from, to, op.window);
        break;
      case 'depthwise': {
        // Channels lie side by side, filled up as those of the sums are.
        const channels = to.pixel / 4;
        const area = op.window.kernelH * op.window.kernelW;
        const weights = new Int8Array(area * channels);
        dataOf<Int8Array>(tensors, op.weights).forEach((weight, i) => {
          weights[(i % area) * channels + Math.floor(i / area)] = weight;
        });
        planPool(planner, from, to, op.window, planner.array(weights), 'depthwise');
        break;
      }
      default:
        op satisfies never;
    }
  }
}

/** What of a source the windows of a layer cover, in pixels. A dense layer has one window, the whole. */
interface Cover {
  readonly rows: number;
  readonly columns: number;
  readonly stepX: number;
  readonly stepY: number;
  readonly source: () => number;
}

function coverOf(op: Op & { window?: Window }, from: Place): Cover {
  const { window } = op;
  if (!window) {
    const { h: rows, w: columns } = from.info.shape;
    return { rows, columns, stepX: 0, stepY: 0, source: from.at };
  }
  return {
    rows: window.kernelH,
    columns: window.kernelW,
    stepX: window.strideW * from.pixel,
    stepY: window.strideH * from.row,
    source: () => from.at() - window.padH * from.row - window.padW * from.pixel,
  };
}

function planBinary(planner: Planner, stage: StageOf<'binary'>, tensors: Tensors): void {
  const { op, pool, binarize } = stage;
  const from = planner.read(op.input);
  const { shape } = planner.info(op.output);
  const cover = coverOf(op, from);
  const { rows, columns, stepX, stepY } = cover;
  const inner: ValueInfo = { kind: binarize ? 'bits' : 'sums', shape };
  const to = pool ? planner.place(inner) : planner.write((binarize ?? op).output);
  const onePixel = shape.h * shape.w === 1;
  const weights: BinaryWeights = {
    order: planner.layout.lanes ? (onePixel ? 'popcount' : 'table') : 'rows',
    outputs: shape.c,
    pixels: rows * columns,
    channels: from.info.shape.c,
    planar: op.kind === 'denseBinary',
    pixelBytes: from.pixel,
    stream: dataOf<Uint8Array>(tensors, op.weights),
  };
  const laid = planner.binaryWeights(weights);
  const terms = weights.pixels * weights.channels;
  // Rows that follow one another without a gap are one.
  const whole = from.row === columns * from.pixel;
  const rowBytes = (whole ? rows : 1) * columns * from.pixel;

  const nothing = new Uint8Array(roundUp(2 * shape.c, 128));
  const limits =
    binarize &&
    sumThresholds(dataOf<Int32Array>(tensors, binarize.threshold), flipOf(tensors, binarize), terms);
  const starts = planner.array(limits?.starts ?? nothing);
  const inverts = planner.array(limits?.inverts ?? nothing);
  const none = pool ? planner.array(nothing) : inverts;
  // For every byte of a window the table kernel notes two half bytes of two bytes each, and makes notes of up to 15
  // bytes past the end; the popcount kernel makes a vector of every byte, and up to 7 more.
  const windowBytes = rows * columns * from.pixel;
  const scratch = planner.block(weights.order === 'table' ? 4 * (windowBytes + 16) : 16 * (windowBytes + 7));
  planner.run(weights.order === 'popcount' ? 'convPopcount' : 'convTable', 'convBinary', () => ({
    source: cover.source(),
    stepX,
    stepY,
    width: shape.w,
    height: shape.h,
    rows: whole ? 1 : rows,
    rowBytes,
    rowPitch: from.row,
    weights: laid.address,
    starts: starts.address,
    inverts: none.address,
    channels: shape.c,
    sums: Number(!binarize),
    terms,
    dest: to.at(),
    destPixel: to.pixel,
    destRow: to.row,
    scratch: scratch.address,
  }));
  if (pool && binarize) planPool(planner, to, planner.write(binarize.output), pool.window, inverts);
}

function planReal(
  planner: Planner,
  op: Extract<Op, { kind: 'convReal' | 'denseReal' }>,
  from: Place,
  to: Place,
  tensors: Tensors,
): void {
  const { shape } = to.info;
  const cover = coverOf(op, from);
  const { rows, columns, stepX, stepY } = cover;
  const { c } = from.info.shape;
  const real: RealWeights = {
    outputs: shape.c,
    pixels: rows * columns,
    channels: c,
    stream: dataOf<Float32Array | Int16Array>(tensors, op.weights),
  };
  const weights = planner.realWeights(real);
  const bias = new Float32Array(roundUp(shape.c, 8));
  if (op.kind === 'denseReal') bias.set(dataOf<Float32Array>(tensors, op.bias));
  const starts = planner.array(bias);
  // Pixels without a gap between them make one run of a row.
  const whole = from.pixel === 4 * c;
  // A vector for every element of four windows, when there is more than one.
  const several = shape.h * shape.w > 1;
  const scratch = planner.block(several ? 4 * 16 * rows * columns * c : 0);
  // A stem: whole weights on the program's input, which may be a picture.
  const stem = planner.layout.lanes && several && op.input === 0 && real.stream instanceof Int16Array;
  const paired = stem ? planner.array(pairedWeights(real, rows)) : undefined;
  const narrowed = stem ? planner.block(from.block.bytes / 2) : undefined;
  const most = stem ? greatestWhole(real) : 0;
  planner.run('convReal', 'convReal', () => ({
    source: cover.source(),
    stepX,
    stepY,
    width: shape.w,
    height: shape.h,
    rows,
    rowPitch: from.row,
    runs: whole ? 1 : columns,
    runBytes: (whole ? columns : 1) * 4 * c,
    runPitch: from.pixel,
    weights: weights.address,
    starts: starts.address,
    channels: shape.c,
    dest: to.at(),
    destPixel: to.pixel,
    destRow: to.row,
    scratch: scratch.address,
    whole: paired?.address ?? 0,
    most,
    image: from.block.address,
    imageBytes: from.block.bytes,
    narrowed: narrowed?.address ?? 0,
  }));
}

function planBlend(planner: Planner, stage: StageOf<'blend'>, tensors: Tensors): void {
  const { affine, binarize } = stage;
  const from = planner.read(stage.input);
  const other = stage.other === undefined ? undefined : planner.read(stage.other);
  const real = stage.real === undefined ? undefined : planner.write(stage.real);
  const bits = binarize && planner.write(binarize.output);
  const { c, h, w } = from.info.shape;
  const padded = (ref: TensorRef) => {
    const values = new Float32Array(roundUp(c, 8));
    values.set(dataOf<Float32Array>(tensors, ref));
    return planner.array(values);
  };
  const scale = affine && padded(affine.scale);
  const bias = affine && padded(affine.bias);
  const limits =
    binarize &&
    realThresholds(
      dataOf<Float32Array | Int32Array>(tensors, binarize.threshold),
      flipOf(tensors, binarize),
      from.info.kind === 'sums' && !affine ? mostSum : Infinity,
    );
  const thresholds = limits && planner.array(limits.thresholds);
  const signs = limits && planner.array(limits.signs);
  planner.run('blend', 'blend', () => ({
    width: w,
    height: h,
    channels: c,
    source: from.at(),
    sourcePixel: from.pixel,
    sourceRow: from.row,
    scale: scale?.address ?? 0,
    bias: bias?.address ?? 0,
    relu: Number(affine?.relu ?? false),
    other: other?.at() ?? 0,
    otherPixel: other?.pixel ?? 0,
    otherRow: other?.row ?? 0,
    dest: real?.at() ?? 0,
    destPixel: real?.pixel ?? 0,
    destRow: real?.row ?? 0,
    thresholds: thresholds?.address ?? 0,
    signs: signs?.address ?? 0,
    bits: bits?.at() ?? 0,
    bitsPixel: bits?.pixel ?? 0,
    bitsRow: bits?.row ?? 0,
  }));
}

/** Of reals and sums the greatest element; of bits the or, turned round by the bits at `inverts`. */
function planPool(
  planner: Planner,
  from: Place,
  to: Place,
  window: Window,
  inverts: Constant | undefined = from.info.kind === 'bits'
    ? planner.array(new Uint8Array(roundUp(to.pixel, 8)))
    : undefined,
  kernel: 'pool' | 'depthwise' = 'pool',
): void {
  planner.run(kernel, 'pool', () => ({
    source: from.at(),
    sourcePixel: from.pixel,
    sourceRow: from.row,
    sourceWidth: from.info.shape.w,
    sourceHeight: from.info.shape.h,
    kernelW: window.kernelW,
    kernelH: window.kernelH,
    strideW: window.strideW,
    strideH: window.strideH,
    padW: window.padW,
    padH: window.padH,
    pixelBytes: to.pixel,
    inverts: inverts?.address ?? 0,
    width: to.info.shape.w,
    height: to.info.shape.h,
    dest: to.at(),
    destPixel: to.pixel,
    destRow: to.row,
  }));
}

function planMean(planner: Planner, from: Place, to: Place): void {
  const { c, h, w } = from.info.shape;
  planner.run('mean', 'mean', () => ({
    source: from.at(),
    sourcePixel: from.pixel,
    sourceRow: from.row,
    width: w,
    height: h,
    channels: c,
    dest: to.at(),
  }));
}

function flipOf(tensors: Tensors, { flip }: { readonly flip?: TensorRef }): Uint8Array | undefined {
  return flip === undefined ? undefined : dataOf<Uint8Array>(tensors, flip);
}
