import { readFileSync } from 'node:fs';
import { type Tensor, tensor } from '@tierwise/core';
import { expect, test } from 'vitest';
import {
  decodeFrame,
  encodeFrame,
  type InferMessage,
  isPacked,
  type PackPolicy,
  pack,
  readPackedHeader,
  unpack,
} from '../src/index.ts';

// The files were written once, by the first version of the format, and are never written again: an encoder that
// gives other bytes, or a decoder that no longer reads these, has changed the format and needs a new version.

const golden = (name: string) =>
  new Uint8Array(readFileSync(new URL(`./golden/${name}.bin`, import.meta.url)));

/** 1x4x12x12, three quarters of it zero, values in eighths: exact in float32 and at 4 bits of 0..1.875. */
const map = tensor(
  'float32',
  [1, 4, 12, 12],
  Float32Array.from({ length: 576 }, (_, i) => (i % 4 === 0 ? (((i / 4) * 7) % 16) / 8 : 0)),
);
/** Four bytes of planes: too few for LZ4. */
const dense = tensor(
  'float32',
  [2, 5],
  Float32Array.from({ length: 10 }, (_, i) => ((i * 7) % 4) - 1.5),
);

test.each<[string, Tensor<'float32'>, PackPolicy, 'none' | 'lz4']>([
  ['packed-4bit-lz4', map, { kind: 'packed', bits: 4, lo: 0, hi: 1.875 }, 'lz4'],
  ['packed-2bit-plain', dense, { kind: 'packed', bits: 2, lo: -1.5, hi: 1.5 }, 'none'],
  ['packed-raw', dense, { kind: 'raw' }, 'none'],
])('%s', (name, input, policy, codec) => {
  const bytes = golden(name);
  expect(pack(input, policy)).toEqual(bytes);
  expect(readPackedHeader(bytes).codec).toBe(codec);
  expect(unpack(bytes)).toEqual(input);
});

const packedMap = golden('packed-4bit-lz4');

test.each<[string, InferMessage]>([
  [
    'frame-request',
    {
      kind: 'request',
      modelName: 'lenet.rest',
      id: '42',
      parameters: { plan: 'lcdnn-1', threshold: 0.25, warm: true },
      inputs: new Map([['stem', tensor('uint8', [packedMap.length], packedMap)]]),
      outputs: [{ name: 'scores' }],
    },
  ],
  [
    'frame-response',
    {
      kind: 'response',
      modelName: 'lenet.rest',
      id: '42',
      parameters: { queueMs: 0.5, computeMs: 2 },
      outputs: new Map<string, Tensor>([
        ['scores', tensor('float32', [1, 3], Float32Array.of(-1, 0.5, 7))],
        ['label', tensor('int64', [1], BigInt64Array.of(2n))],
      ]),
    },
  ],
  [
    'frame-failure',
    { kind: 'failure', id: '42', error: 'model "lénet" is not served here', code: 'MODEL_UNKNOWN' },
  ],
])('%s', (name, message) => {
  const bytes = golden(name);
  expect(encodeFrame(message)).toEqual(bytes);
  expect(decodeFrame(bytes)).toEqual(message);
  if (message.kind !== 'request') return;
  const stem = message.inputs.get('stem')!;
  expect(isPacked(stem) && unpack(stem.data)).toEqual(map);
});
