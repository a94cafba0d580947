import { expect, expectTypeOf, test } from 'vitest';
import * as s from './schema.ts';

const kinds = s.variant(
  s.object({ kind: s.oneOf('raw') }),
  s.object({ kind: s.oneOf('packed'), bits: s.oneOf(1, 2, 4) }),
);
const form = s.object({
  name: s.string({ pattern: '^[a-z]+$', description: 'lower-case letters' }),
  sizes: s.array(s.integer({ minimum: 1, maximum: 9 }), { minItems: 1, maxItems: 3 }),
  share: s.optional(s.number({ exclusiveMinimum: 0 })),
  on: s.optional(s.boolean(), true),
  codec: s.optional(kinds),
  notes: s.optional(s.record(s.string({ maxLength: 4 }))),
  extra: s.optional(s.anything()),
});
const least = { name: 'a', sizes: [1] };

function fault(value: unknown, schema: s.Schema<unknown> = form): string {
  try {
    s.read(schema, value, (path, problem) => {
      throw new Error(`${path}: ${problem}`);
    });
  } catch (error) {
    return (error as Error).message;
  }
  return 'none';
}

const refuse = (path: string, problem: string): never => {
  throw new Error(`${path}: ${problem}`);
};

test('what is read has the type of the schema, its defaults, and nothing else', () => {
  const found = s.read(form, { ...least, stranger: 1 }, refuse);
  expect(found).toEqual({ name: 'a', sizes: [1], on: true });
  expectTypeOf(found).toEqualTypeOf<{
    name: string;
    sizes: number[];
    share?: number | undefined;
    on: boolean;
    codec?: { kind: 'raw' } | { kind: 'packed'; bits: 1 | 2 | 4 } | undefined;
    notes?: Record<string, string> | undefined;
    extra?: unknown;
  }>();
});

test('what is read is a copy, as deep as the schema', () => {
  const value = { ...least, codec: { kind: 'packed', bits: 2 }, notes: { a: 'b' } };
  const found = s.read(form, value, refuse);
  expect(found).toEqual({ ...value, on: true });
  expect(found.sizes).not.toBe(value.sizes);
  expect(found.codec).not.toBe(value.codec);
});

test.each<[unknown, string]>([
  [null, ': null is not an object'],
  [[], ': an array is not an object'],
  [{ sizes: [1] }, 'name: is missing'],
  [{ ...least, name: undefined }, 'name: is missing'],
  [Object.create(least), 'name: is missing'],
  [{ ...least, name: 3 }, 'name: 3 is not a string'],
  [{ ...least, name: 'A' }, 'name: "A" is not lower-case letters'],
  [{ ...least, sizes: {} }, 'sizes: an object is not an array'],
  [{ ...least, sizes: [] }, 'sizes: 0 elements, not 1 to 3'],
  [{ ...least, sizes: [1, 2, 3, 4] }, 'sizes: 4 elements, not 1 to 3'],
  [{ ...least, sizes: [1, 0] }, 'sizes.1: 0 is not at least 1'],
  [{ ...least, sizes: [10] }, 'sizes.0: 10 is not at most 9'],
  [{ ...least, sizes: [1.5] }, 'sizes.0: 1.5 is not a whole number'],
  [{ ...least, sizes: ['1'] }, 'sizes.0: "1" is not a whole number'],
  [{ ...least, sizes: new Array(1) }, 'sizes.0: undefined is not a whole number'],
  [{ ...least, share: 0 }, 'share: 0 is not above 0'],
  [{ ...least, share: Number.NaN }, 'share: NaN is not a number'],
  [{ ...least, share: Infinity }, 'share: Infinity is not a number'],
  [{ ...least, on: 1 }, 'on: 1 is not true or false'],
  [{ ...least, codec: 'raw' }, 'codec: "raw" is not an object'],
  [{ ...least, codec: {} }, 'codec.kind: undefined is not "raw" or "packed"'],
  [{ ...least, codec: { kind: 'constructor' } }, 'codec.kind: "constructor" is not "raw" or "packed"'],
  [{ ...least, codec: { kind: 'packed', bits: 3 } }, 'codec.bits: 3 is not 1 or 2 or 4'],
  [{ ...least, notes: { a: 'abcde' } }, 'notes.a: 5 characters, not 0 to 4'],
  [{ ...least, name: 'x'.repeat(100) + 9 }, `name: "${'x'.repeat(60)}" is not lower-case letters`],
])('%j is refused', (value, message) => {
  expect(fault(value)).toBe(message);
});

test('members named like parts of an object are members like any other', () => {
  const json = JSON.parse('{"__proto__": "x", "constructor": "y"}');
  const found = s.read(s.record(s.string()), json, refuse);
  expect(Object.keys(found)).toEqual(['__proto__', 'constructor']);
  expect(Object.getPrototypeOf(found)).toBe(Object.prototype);
  expect(fault(JSON.parse('{"__proto__": 1}'), s.record(s.string()))).toBe('__proto__: 1 is not a string');
});

test('a schema is JSON Schema as it stands', () => {
  expect(
    JSON.parse(JSON.stringify(s.object({ a: s.integer({ minimum: 0 }), b: s.optional(kinds) }))),
  ).toEqual({
    type: 'object',
    required: ['a'],
    properties: {
      a: { type: 'integer', minimum: 0 },
      b: {
        anyOf: [
          { type: 'object', required: ['kind'], properties: { kind: { enum: ['raw'] } } },
          {
            type: 'object',
            required: ['kind', 'bits'],
            properties: { kind: { enum: ['packed'] }, bits: { enum: [1, 2, 4] } },
          },
        ],
      },
    },
  });
});
