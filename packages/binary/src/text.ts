/**
 * A program as the JSON text in its file. What can be told is left out, because in a small branch names and
 * defaults would weigh as much as thresholds: an operation's `output` is its number plus 1 and its `input` the
 * value before; strides are 1, paddings 0 and `relu` false; a tensor is named by its value and role, `3.bias`.
 */
import { schema } from '@tierwise/core';
import type { Op, Program, Window } from './program.ts';
import { ProgramSchema } from './schema.ts';

/** The roles of an operation's tensors; each is the field that holds the tensor's name. */
const roles: Readonly<Record<Op['kind'], readonly string[]>> = {
  convReal: ['weights'],
  convBinary: ['weights'],
  depthwise: ['weights'],
  denseBinary: ['weights'],
  denseReal: ['weights', 'bias'],
  affine: ['scale', 'bias'],
  binarize: ['threshold'],
  maxPool: [],
  add: [],
  meanPool: [],
};

const windowDefaults: Partial<Window> = { strideH: 1, strideW: 1, padH: 0, padW: 0 };

/** Fields of operation `index` that the text leaves out when they have these values. */
function defaults(kind: Op['kind'], index: number): Record<string, unknown> {
  const names = Object.fromEntries(roles[kind].map((role) => [role, `${index + 1}.${role}`]));
  return { input: index, output: index + 1, relu: kind === 'affine' ? false : undefined, ...names };
}

function without(object: object, known: object): object {
  const entries = Object.entries(object);
  return Object.fromEntries(entries.filter(([key, value]) => known[key as keyof object] !== value));
}

export function writeText(program: Program): string {
  const ops = program.ops.map((op, index) => {
    const short = without(op, defaults(op.kind, index));
    return 'window' in op ? { ...short, window: without(op.window, windowDefaults) } : short;
  });
  return JSON.stringify({ ...program, ops });
}

/**
 * The program that `text` says, in form; whether it makes sense is for `inferValues`.
 * @throws what `fail` makes, with the path of the first fault
 */
export function readText(text: string, fail: (what: string, cause?: unknown) => Error): Program {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw fail('the program is not JSON', cause);
  }
  const { ops, ...rest } = schema.read(ProgramSchema, json, (path, problem) => {
    throw fail(`${path || 'program'}: ${problem}`);
  });
  return {
    ...rest,
    ops: ops.map((op, index) => {
      const known = Object.entries(defaults(op.kind, index)).filter(([, value]) => value !== undefined);
      return { ...Object.fromEntries(known), ...op } as Op;
    }),
  };
}
