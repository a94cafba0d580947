import { elementCount } from '@tierwise/core';
import {
  inputsOf,
  type Op,
  type Program,
  type ProgramOutput,
  type Shape,
  type ValueInfo,
  type Window,
} from './program.ts';

/** Elements of all values of a program together: 2^26 float32 are 256 MiB. */
const maxElements = 2 ** 26;
/** Multiply-accumulates of one sample. The reference takes a few seconds for so many. */
const maxMacs = 2 ** 31;
/** Largest number of terms of a sum: each is then exact in int32 and, for products of +-1, in float32; int8 is 128 ones. */
const maxTerms = 2 ** 24;
const maxExtent = 65536;

/** Makes the error of something that is wrong with a program. */
export type Fail = (what: string) => Error;

/** @throws what `fail` makes when there are more of them than `most` */
function limit(count: number, most: number, what: string, fail: Fail): void {
  if (count > most) throw fail(`${count} ${what}, at most ${most} are allowed`);
}

/** Number of elements of a value. */
export function sizeOf(shape: Shape): number {
  return shape.c * shape.h * shape.w;
}

export function showShape({ c, h, w }: Shape): string {
  return `[${c}, ${h}, ${w}]`;
}

/**
 * Kind and shape of every value and the cost of every operation, when the program makes sense: each operation
 * reads a value that exists and is of a kind that it can take, windows fit, and memory and work stay within
 * bounds, so that a file from outside can neither exhaust memory nor run for ever.
 * @throws what `fail` makes, naming the operation
 */
export function inferValues(program: Program, fail: Fail): { values: ValueInfo[]; macs: number[] } {
  const values: ValueInfo[] = [{ kind: 'real', shape: program.input.shape }];
  const macs: number[] = [];
  let elements = sizeOf(program.input.shape);
  let work = 0;
  limit(elements, maxElements, 'elements of the input', fail);
  program.ops.forEach((op, index) => {
    const failHere: Fail = (what) => fail(`operation ${index} (${op.kind}): ${what}`);
    if (op.output !== index + 1) throw failHere(`writes value ${op.output} and must write ${index + 1}`);
    const inputs = inputsOf(op).map((number) => {
      const info = values[number];
      if (!info) throw failHere(`reads value ${number} before it is written`);
      return info;
    });
    const { info, macs: cost } = inferOp(op, inputs, failHere);
    const { c, h, w } = info.shape;
    limit(Math.max(c, h, w), maxExtent, 'elements on one axis', failHere);
    elements += sizeOf(info.shape);
    work += cost;
    limit(elements, maxElements, 'elements up to here', failHere);
    limit(work, maxMacs, 'multiply-accumulates up to here', failHere);
    values.push(info);
    macs.push(cost);
  });
  checkOutputs(program.outputs, values, fail);
  return { values, macs };
}

/**
 * What one operation writes, given what it reads, and what it costs.
 * @throws what `fail` makes
 */
export function inferOp(op: Op, inputs: readonly ValueInfo[], fail: Fail): { info: ValueInfo; macs: number } {
  const input = inputs[0]!;
  const { c } = input.shape;
  const expectKind = (...kinds: readonly ValueInfo['kind'][]) => {
    if (!kinds.includes(input.kind)) throw fail(`takes ${kinds.join(' or ')}, not ${input.kind}`);
  };
  /** Without more said, of the input's shape and with one operation an element of it. */
  const gives = (kind: ValueInfo['kind'], shape = input.shape, macs = sizeOf(input.shape)) => ({
    info: { kind, shape },
    macs,
  });
  const sum = (kind: ValueInfo['kind'], shape: Shape, terms: number, ones = 1) => {
    limit(terms * ones, maxTerms, 'terms of a sum', fail);
    return gives(kind, shape, sizeOf(shape) * terms);
  };
  switch (op.kind) {
    case 'convReal':
    case 'convBinary': {
      const binary = op.kind === 'convBinary';
      expectKind(binary ? 'bits' : 'real');
      const shape = windowed(input.shape, op.window, op.channels, fail);
      const { h, w } = input.shape;
      const padded = c * (h + 2 * op.window.padH) * (w + 2 * op.window.padW);
      limit(padded, maxElements, 'elements with padding', fail);
      return sum(binary ? 'sums' : 'real', shape, c * op.window.kernelH * op.window.kernelW);
    }
    case 'depthwise':
      expectKind('bits');
      return sum(
        'sums',
        windowed(input.shape, op.window, c, fail),
        op.window.kernelH * op.window.kernelW,
        128,
      );
    case 'denseReal':
    case 'denseBinary': {
      const binary = op.kind === 'denseBinary';
      expectKind(binary ? 'bits' : 'real');
      return sum(binary ? 'sums' : 'real', { c: op.channels, h: 1, w: 1 }, sizeOf(input.shape));
    }
    case 'maxPool': {
      const { kernelH, kernelW, padH, padW } = op.window;
      if (padH >= kernelH || padW >= kernelW) throw fail('has windows that lie in the padding alone');
      const shape = windowed(input.shape, op.window, c, fail);
      return gives(input.kind, shape, sizeOf(shape) * kernelH * kernelW);
    }
    case 'add': {
      expectKind('real');
      const other = inputs[1]!;
      if (other.kind !== 'real' || showShape(other.shape) !== showShape(input.shape)) {
        throw fail(`adds ${other.kind} ${showShape(other.shape)} to real ${showShape(input.shape)}`);
      }
      return gives('real');
    }
    case 'meanPool':
      expectKind('real');
      return gives('real', { c, h: 1, w: 1 });
    case 'affine':
      expectKind('real', 'sums');
      return gives('real');
    case 'binarize':
      expectKind('real', 'sums');
      return gives('bits', input.shape, 0);
  }
}

/** Shape after a window slides over `input`: floor((size + 2 pad - kernel) / stride) + 1 on each axis. */
function windowed(input: Shape, window: Window, channels: number, fail: Fail): Shape {
  const h = Math.floor((input.h + 2 * window.padH - window.kernelH) / window.strideH) + 1;
  const w = Math.floor((input.w + 2 * window.padW - window.kernelW) / window.strideW) + 1;
  if (h < 1 || w < 1) {
    throw fail(`a ${window.kernelH}x${window.kernelW} window does not fit ${showShape(input)}`);
  }
  return { c: channels, h, w };
}

function checkOutputs(outputs: readonly ProgramOutput[], values: readonly ValueInfo[], fail: Fail): void {
  const names = new Set<string>();
  for (const { tensor, value, dims } of outputs) {
    const shape = values[value]?.shape;
    if (!shape) throw fail(`output "${tensor}" is value ${value}, which does not exist`);
    const spatial = dims.length === 4 && dims[1] === shape.c && dims[2] === shape.h && dims[3] === shape.w;
    const flat = dims.length === 2 && elementCount(dims) === sizeOf(shape);
    if (dims[0] !== 1 || !(spatial || flat)) {
      throw fail(`output "${tensor}" of dims [${dims}] is a value of shape ${showShape(shape)}`);
    }
    if (names.has(tensor)) throw fail(`output "${tensor}" occurs twice`);
    names.add(tensor);
  }
}
