import type { DescriptorName, Fields } from '../kernels/descriptors.ts';
import type { BitLayout, KernelTable } from '../kernels/kernels.ts';
import { bitPixelBytes, realPixelBytes } from '../kernels/layout.ts';
import {
  type BinaryWeights,
  binaryLayBytes,
  binaryWeightBytes,
  type RealWeights,
  realLayBytes,
  realWeightBytes,
} from '../kernels/weights.ts';
import { inputsOf, type LoadedProgram, type Op, type Shape, type ValueInfo } from '../program.ts';

/** A stretch of the arena, needed from step `first` to step `last`. It has its address when all have been placed. */
export interface Block {
  readonly bytes: number;
  readonly first: number;
  last: number;
  address: number;
}

/** A value in the arena. */
export interface Place {
  readonly info: ValueInfo;
  readonly block: Block;
  /** From pixel (0, 0), which lies inside the border, to the next, and from row to row. Bytes. */
  readonly pixel: number;
  readonly row: number;
  readonly border: Border;
  /** Address of pixel (0, 0), when the block has one. */
  readonly at: () => number;
}

export interface Border {
  readonly h: number;
  readonly w: number;
}

/** What does not change between runs. */
export interface Constant {
  readonly bytes: number;
  readonly content:
    | { readonly kind: 'array'; readonly data: ArrayBufferView }
    | { readonly kind: 'binary'; readonly weights: BinaryWeights }
    | { readonly kind: 'real'; readonly weights: RealWeights };
  address: number;
}

/** One call of a kernel, or memory to be cleared. */
export type Step =
  | {
      readonly kind: 'kernel';
      readonly kernel: keyof KernelTable;
      readonly record: DescriptorName;
      readonly fields: () => Fields<DescriptorName>;
    }
  | { readonly kind: 'clear'; readonly block: Block };

/**
 * The book that a plan is written into: which memory is needed when, and which kernels run. Time is counted in stages,
 * and what one stage reads and writes exists at the same time.
 */
export class Planner {
  readonly layout: BitLayout;
  readonly steps: Step[] = [];
  readonly blocks: Block[] = [];
  readonly constants: Constant[] = [];
  /** Most scratch memory that laying out a constant takes. */
  layBytes = 0;
  stage = 0;
  readonly #values: readonly ValueInfo[];
  readonly #borders = new Map<number, Border>();
  readonly #places = new Map<number, Place>();

  /** `ops` are the operations that will run. */
  constructor({ values }: LoadedProgram, ops: readonly Op[], layout: BitLayout) {
    this.layout = layout;
    this.#values = values;
    for (const op of ops) {
      if (op.kind !== 'convReal' && op.kind !== 'convBinary') continue;
      for (const value of inputsOf(op)) {
        const { h, w } = this.#borders.get(value) ?? { h: 0, w: 0 };
        this.#borders.set(value, { h: Math.max(h, op.window.padH), w: Math.max(w, op.window.padW) });
      }
    }
  }

  info(value: number): ValueInfo {
    return this.#values[value]!;
  }

  /** Memory of the arena for this stage. Raise its `last` to keep it. */
  block(bytes: number): Block {
    const block = { bytes, first: this.stage, last: this.stage, address: Number.NaN };
    this.blocks.push(block);
    return block;
  }

  /** A place for `value`, written at this stage. */
  write(value: number): Place {
    const info = this.info(value);
    // The program's input comes as it is, so one channel needs no rearranging.
    const pixel = value === 0 ? 4 * info.shape.c : this.pixelBytes(info);
    const place = this.place(info, pixel, this.#borders.get(value));
    this.#places.set(value, place);
    return place;
  }

  /** A place for what is no value of the program, or one that is written in steps of its own. */
  place(info: ValueInfo, pixel = this.pixelBytes(info), border: Border = { h: 0, w: 0 }): Place {
    const { c, h, w } = info.shape;
    const row = (w + 2 * border.w) * pixel;
    const block = this.block((h + 2 * border.h) * row);
    const filledUp = info.kind === 'bits' && pixel > Math.ceil(c / 8);
    if (border.h + border.w > 0 || filledUp) this.steps.push({ kind: 'clear', block });
    return { info, block, pixel, row, border, at: () => block.address + border.h * row + border.w * pixel };
  }

  /** Where `value` lies, to be read at this stage. */
  read(value: number): Place {
    const place = this.#places.get(value)!;
    place.block.last = Math.max(place.block.last, this.stage);
    return place;
  }

  pixelBytes({ kind, shape }: ValueInfo): number {
    return kind === 'bits' ? bitPixelBytes(shape.c, this.layout) : realPixelBytes(shape.c);
  }

  array(data: ArrayBufferView): Constant {
    return this.#constant({ bytes: data.byteLength, content: { kind: 'array', data } });
  }

  binaryWeights(weights: BinaryWeights): Constant {
    this.layBytes = Math.max(this.layBytes, binaryLayBytes(weights));
    return this.#constant({ bytes: binaryWeightBytes(weights), content: { kind: 'binary', weights } });
  }

  realWeights(weights: RealWeights): Constant {
    this.layBytes = Math.max(this.layBytes, realLayBytes(weights));
    return this.#constant({ bytes: realWeightBytes(weights), content: { kind: 'real', weights } });
  }

  #constant(made: Omit<Constant, 'address'>): Constant {
    const constant = { ...made, address: Number.NaN };
    this.constants.push(constant);
    return constant;
  }

  /** `fields` is called when all addresses are known. */
  run<K extends DescriptorName>(kernel: keyof KernelTable, record: K, fields: () => Fields<K>): void {
    this.steps.push({ kind: 'kernel', kernel, record, fields: fields as () => Fields<DescriptorName> });
  }
}

/** Whether the value's memory holds its planes as a caller wants them: real, no border, one channel or one pixel. */
export function isPlanar({ info, pixel, border }: Place): boolean {
  const { c, h, w }: Shape = info.shape;
  const dense = h * w === 1 || (c === 1 && pixel === 4);
  return info.kind !== 'bits' && border.h + border.w === 0 && dense;
}
