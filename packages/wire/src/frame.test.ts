import {
  bytesPerElement,
  type DType,
  elementCount,
  fromBytes,
  isTierwiseError,
  type Tensor,
  TierwiseError,
  tensor,
  toBytes,
} from '@tierwise/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeBody, encodeBody } from './body.ts';
import { decodeFrame, encodeFrame } from './frame.ts';
import { errorOf, failureOf, type InferMessage, type InferRequest, wantsBinary } from './message.ts';
import { isPacked, pack, unpack } from './packed.ts';

const utf8 = new TextEncoder();

/** A body of this JSON, whatever it says, with these bytes behind. */
function body(json: unknown, raw: readonly number[] = []): { bytes: Uint8Array; jsonLength: number } {
  const text = utf8.encode(typeof json === 'string' ? json : JSON.stringify(json));
  const bytes = new Uint8Array(text.length + raw.length);
  bytes.set(text);
  bytes.set(raw, text.length);
  return { bytes, jsonLength: text.length };
}

function failure(run: () => unknown): TierwiseError {
  try {
    run();
  } catch (error) {
    if (isTierwiseError(error)) return error;
    throw error;
  }
  return expect.unreachable('the message was accepted');
}

/** The message, or undefined when it is refused as it should be. */
function attempt(run: () => InferMessage): InferMessage | undefined {
  try {
    return run();
  } catch (error) {
    if (isTierwiseError(error, 'FRAME_CORRUPT')) return undefined;
    throw error;
  }
}

const dtypes = Object.keys(bytesPerElement) as DType[];
const anyTensor: fc.Arbitrary<Tensor> = fc
  .tuple(fc.constantFrom(...dtypes), fc.array(fc.nat(3), { maxLength: 4 }), fc.infiniteStream(fc.nat(255)))
  .map(([dtype, dims, stream]) => {
    const bytes = Uint8Array.from({ length: elementCount(dims) * bytesPerElement[dtype] }, () => {
      const byte: number = stream.next().value;
      return dtype === 'bool' ? byte & 1 : byte;
    });
    return tensor(dtype, dims, fromBytes(dtype, bytes));
  });
const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
const tensors = fc.array(fc.tuple(name, anyTensor), { maxLength: 4 }).map((entries) => new Map(entries));
const parameters = fc.dictionary(
  fc.string({ maxLength: 9 }).filter((key) => !['__proto__', 'prototype', 'constructor'].includes(key)),
  fc.oneof(text, fc.boolean(), fc.integer()),
  { maxKeys: 4, noNullPrototype: true },
);
const requestedOutputs = fc.array(fc.oneof(fc.record({ name }), fc.record({ name, binary: fc.boolean() })), {
  maxLength: 3,
});
const anyMessage: fc.Arbitrary<InferMessage> = fc.oneof(
  fc.record({
    kind: fc.constant('request' as const),
    modelName: text,
    id: text,
    parameters,
    inputs: tensors,
    outputs: requestedOutputs,
  }),
  fc.record({
    kind: fc.constant('response' as const),
    modelName: text,
    id: text,
    parameters,
    outputs: tensors,
  }),
  fc.record({
    kind: fc.constant('failure' as const),
    id: text,
    error: text,
    code: fc.constantFrom('TIMEOUT' as const, 'OVERLOADED' as const),
  }),
);

/** A message with the bytes of its tensors, so that NaNs compare by their bits. */
function comparable(message: InferMessage): unknown {
  const bytesOf = (map: ReadonlyMap<string, Tensor>) =>
    [...map].map(([key, { dtype, dims, data }]) => [
      key,
      dtype,
      dims,
      Buffer.from(toBytes(data)).toString('hex'),
    ]);
  if (message.kind === 'request') return { ...message, inputs: bytesOf(message.inputs) };
  if (message.kind === 'response') return { ...message, outputs: bytesOf(message.outputs) };
  return message;
}

const request: InferRequest = {
  kind: 'request',
  modelName: 'lenet.rest',
  id: '7',
  parameters: { plan: 'p1', threshold: 0.3 },
  inputs: new Map<string, Tensor>([
    ['a', tensor('float32', [2], Float32Array.of(1, 2))],
    ['b', tensor('uint8', [3], Uint8Array.of(7, 8, 9))],
  ]),
  outputs: [{ name: 'scores' }],
};

test('a frame is the length, the JSON, the tensors', () => {
  const bytes = encodeFrame(request);
  const jsonLength = new DataView(bytes.buffer).getUint32(0, true);
  expect(JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + jsonLength)))).toEqual({
    model_name: 'lenet.rest',
    id: '7',
    parameters: { plan: 'p1', threshold: 0.3 },
    inputs: [
      { name: 'a', shape: [2], datatype: 'FP32', parameters: { binary_data_size: 8 } },
      { name: 'b', shape: [3], datatype: 'UINT8', parameters: { binary_data_size: 3 } },
    ],
    outputs: [{ name: 'scores' }],
  });
  expect([...bytes.subarray(4 + jsonLength)]).toEqual([0, 0, 128, 63, 0, 0, 0, 64, 7, 8, 9]);
  expect(encodeBody(request)).toEqual({ bytes: bytes.slice(4), jsonLength });
});

test('messages come back from frames and bodies, at any offset', () => {
  fc.assert(
    fc.property(anyMessage, fc.nat(8), (message, offset) => {
      const frame = encodeFrame(message);
      const moved = Buffer.alloc(frame.length + offset).subarray(offset);
      moved.set(frame);
      expect(comparable(decodeFrame(moved))).toEqual(comparable(message));
      const { bytes, jsonLength } = encodeBody(message);
      expect(comparable(decodeBody(bytes, jsonLength))).toEqual(comparable(message));
    }),
    { numRuns: 300 },
  );
});

test('tensors as JSON come back from a body without a length', () => {
  const { bytes, jsonLength } = encodeBody(request, { asJson: () => true });
  expect(jsonLength).toBe(bytes.length);
  expect(decodeBody(bytes)).toEqual(request);
  const mixed = encodeBody(request, { asJson: (tensorName) => tensorName === 'a' });
  expect(mixed.bytes.length - mixed.jsonLength).toBe(3);
  expect(decodeBody(mixed.bytes, mixed.jsonLength)).toEqual(request);
});

test("another client's request with nested data and unknown fields is read", () => {
  const { bytes } = body({
    id: 'x',
    model_version: '1',
    inputs: [{ name: 'in', shape: [1, 2], datatype: 'FP32', data: [[1, 2]], parameters: { other: true } }],
    outputs: [
      { name: 'a', parameters: { binary_data: true } },
      { name: 'b', parameters: { classification: 3 } },
    ],
    parameters: { binary_data_output: false },
  });
  const message = decodeBody(bytes) as InferRequest;
  expect(message).toEqual({
    kind: 'request',
    modelName: '',
    id: 'x',
    parameters: { binary_data_output: false },
    inputs: new Map([['in', tensor('float32', [1, 2], Float32Array.of(1, 2))]]),
    outputs: [{ name: 'a', binary: true }, { name: 'b' }],
  });
  expect(['a', 'b', 'c'].map((output) => wantsBinary(message, output))).toEqual([true, false, false]);
  const all = { ...message, parameters: { binary_data_output: true } };
  expect(['b', 'c'].map((output) => wantsBinary(all, output))).toEqual([true, true]);
});

test('a failure keeps its code; a foreign one is INTERNAL', () => {
  const sent = failureOf(new TierwiseError('OVERLOADED', 'queue of "lenet" is full'), '9');
  const back = decodeFrame(encodeFrame(sent));
  expect(back).toEqual(sent);
  const error = back.kind === 'failure' ? errorOf(back) : undefined;
  expect(error).toMatchObject({ code: 'OVERLOADED', message: 'queue of "lenet" is full' });
  expect(decodeBody(body({ error: 'no' }).bytes)).toMatchObject({ error: 'no', code: 'INTERNAL', id: '' });
  expect(decodeBody(body({ error: 'no', code: 'toString' }).bytes)).toMatchObject({ code: 'INTERNAL' });
});

test('a packed tensor travels as UINT8', () => {
  const map = tensor('float32', [1, 2, 4, 4], new Float32Array(32).fill(0.5));
  const bytes = pack(map, { kind: 'packed', bits: 1, lo: 0, hi: 0.5 });
  const inputs = new Map([['stem', tensor('uint8', [bytes.length], bytes)]]);
  const back = decodeFrame(encodeFrame({ ...request, inputs })) as InferRequest;
  const stem = back.inputs.get('stem')!;
  expect(isPacked(stem) && unpack(stem.data)).toEqual(map);
});

const x = { name: 'x', shape: [1], datatype: 'UINT8', parameters: { binary_data_size: 1 } };

test.each<[string, unknown, readonly number[]]>([
  ['no JSON', '{"inputs":', []],
  ['an array', [], []],
  ['null', null, []],
  ['none of the three kinds', { id: 'x' }, []],
  ['an id that is a number', { id: 3, inputs: [] }, []],
  ['a nested parameter', { parameters: { a: { b: 1 } }, inputs: [] }, []],
  ['a parameter that is null', { parameters: { a: null }, inputs: [] }, []],
  ['inputs that are no array', { inputs: {} }, []],
  [
    '65 tensors',
    { inputs: Array.from({ length: 65 }, (_, i) => ({ ...x, name: `${i}` })) },
    new Array(65).fill(0),
  ],
  ['two tensors of one name', { inputs: [x, x] }, [0, 0]],
  ['a tensor without a name', { inputs: [{ ...x, name: '' }] }, [0]],
  ['a datatype without end', { inputs: [{ ...x, datatype: 'F'.repeat(1000) }] }, [0]],
  ['an unknown datatype', { inputs: [{ ...x, datatype: 'BYTES' }] }, [0]],
  ['a negative dimension', { inputs: [{ ...x, shape: [-1] }] }, [0]],
  ['nine dimensions', { inputs: [{ ...x, shape: new Array(9).fill(1) }] }, [0]],
  ['an overflowing shape', { inputs: [{ ...x, shape: [2 ** 52, 2 ** 52] }] }, [0]],
  ['a size that is not the shape', { inputs: [{ ...x, parameters: { binary_data_size: 2 } }] }, [0, 0]],
  ['a size beyond the end', { inputs: [x] }, []],
  ['bytes left over', { inputs: [x] }, [0, 0]],
  ['bytes left over behind a failure', { error: 'x' }, [0]],
  ['neither data nor size', { inputs: [{ name: 'x', shape: [1], datatype: 'UINT8' }] }, []],
  ['both data and size', { inputs: [{ ...x, data: [1] }] }, [1]],
  ['data that are a string', { inputs: [{ name: 'x', shape: [1], datatype: 'UINT8', data: '1' }] }, []],
  ['a bool of 2', { outputs: [{ ...x, datatype: 'BOOL' }] }, [2]],
  ['an error that is no string', { error: {} }, []],
  ['65 requested outputs', { inputs: [], outputs: Array.from({ length: 65 }, () => ({ name: 'x' })) }, []],
])('%s is refused', (_, json, raw) => {
  const { bytes, jsonLength } = body(json, raw);
  expect(failure(() => decodeBody(bytes, jsonLength)).code).toBe('FRAME_CORRUPT');
});

test('a length of the JSON that cannot be is refused', () => {
  const { bytes } = body({ inputs: [] });
  for (const jsonLength of [-1, 0.5, Number.NaN, bytes.length + 1, 2 ** 53]) {
    expect(failure(() => decodeBody(bytes, jsonLength)).code).toBe('FRAME_CORRUPT');
  }
  const long = body(`{"inputs":[]}${' '.repeat(2 ** 20)}`);
  expect(failure(() => decodeBody(long.bytes, long.jsonLength)).message).toMatch(/limit/);
  expect(decodeBody(long.bytes)).toMatchObject({ kind: 'request' });
});

test('a frame cut anywhere is refused; one damaged anywhere is read or refused, never anything else', () => {
  const map = tensor('float32', [1, 2, 4, 4], new Float32Array(32).fill(0.5));
  const packed = pack(map, { kind: 'packed', bits: 2, lo: 0, hi: 1 });
  const inputs = new Map<string, Tensor>([
    ['stem', tensor('uint8', [packed.length], packed)],
    ['flag', tensor('bool', [1], Uint8Array.of(1))],
  ]);
  const bytes = encodeFrame({ ...request, inputs });
  const payloadStart = bytes.length - 1 - packed.length;
  for (let i = 0; i < bytes.length; i++) {
    expect(failure(() => decodeFrame(bytes.subarray(0, i))).code).toBe('FRAME_CORRUPT');
    for (let bit = 0; bit < 8; bit++) {
      const damaged = bytes.slice();
      damaged[i]! ^= 1 << bit;
      const message = attempt(() => decodeFrame(damaged));
      if (i < payloadStart || i === bytes.length - 1) continue;
      const stem = (message as InferRequest).inputs.get('stem') as Tensor<'uint8'>;
      expect(failure(() => unpack(stem.data)).code).toBe('PACKED_CORRUPT');
    }
  }
});

test('made-up frames and JSON are read or refused, never anything else', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => void attempt(() => decodeFrame(bytes))));
  const entry = fc.record(
    {
      name: fc.oneof(name, fc.jsonValue()),
      shape: fc.oneof(fc.array(fc.integer({ min: -1, max: 3 })), fc.jsonValue()),
      datatype: fc.constantFrom('FP32', 'UINT8', 'BOOL', 'INT64', 'BYTES'),
      parameters: fc.oneof(fc.record({ binary_data_size: fc.nat(9) }), fc.jsonValue()),
      data: fc.jsonValue(),
    },
    { requiredKeys: ['name', 'shape', 'datatype'] },
  );
  const message = fc.record(
    {
      id: fc.oneof(text, fc.jsonValue()),
      parameters: fc.oneof(parameters, fc.jsonValue()),
      inputs: fc.oneof(fc.array(entry), fc.jsonValue()),
      outputs: fc.oneof(fc.array(entry), fc.jsonValue()),
      error: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(message, fc.array(fc.nat(255), { maxLength: 9 }), (json, raw) => {
      const { bytes, jsonLength } = body(json, raw);
      attempt(() => decodeBody(bytes, jsonLength));
    }),
    { numRuns: 1000 },
  );
});

test('what could not be read at the other end is not written', () => {
  const lie: Tensor = { dtype: 'float32', dims: [3], data: new Float32Array(2) };
  expect(failure(() => encodeFrame({ ...request, inputs: new Map([['a', lie]]) })).code).toBe(
    'TENSOR_INVALID',
  );
  const many = new Map(
    Array.from({ length: 65 }, (_, i) => [`${i}`, tensor('uint8', [0], new Uint8Array(0))]),
  );
  expect(failure(() => encodeFrame({ ...request, inputs: many })).code).toBe('REQUEST_INVALID');
  const parameters = { long: 'x'.repeat(2 ** 20) };
  expect(failure(() => encodeFrame({ ...request, parameters })).code).toBe('REQUEST_INVALID');
});
