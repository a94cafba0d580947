import { create } from '@bufbuild/protobuf';
import { tensor } from '@tierwise/core';
import { StringStringEntryProtoSchema, TensorProto_DataLocation } from 'onnx-buf';
import { expect, test } from 'vitest';
import { GraphBuilder } from './builder.ts';
import { externalFiles, readOnnxWith } from './external.ts';
import { readOnnx, writeOnnx } from './model.ts';

const values = (...all: number[]) => Float32Array.from(all);

/** y = x * w + b, with w and b in a file of their own; `entries` is what w's place is stated as. */
function modelBeside(entries: Record<string, string>) {
  const b = new GraphBuilder('beside');
  const x = b.input('x', 'float32', [1, 2]);
  const w = b.initializer('w', tensor('float32', [2], values(1, 2)));
  const constant = b.op('Constant', [], { value: { tensor: tensor('float32', [2], values(3, 4)) } });
  b.output(b.add(b.mul(x, w), constant), 'float32', [1, 2], 'y');
  const whole = writeOnnx(b.model);
  const stored = [b.graph.initializer[0]!, b.graph.node[0]!.attribute[0]!.t!];
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const places = [
    { location: 'net.onnx.data', offset: '0', length: '8', ...entries },
    { location: 'part/two.bin' },
  ];
  for (const [i, proto] of stored.entries()) {
    files.set(places[i]!.location, Uint8Array.from(proto.rawData));
    proto.rawData = new Uint8Array(0);
    proto.dataLocation = TensorProto_DataLocation.EXTERNAL;
    proto.externalData = Object.entries(places[i]!).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value }),
    );
  }
  return { bytes: writeOnnx(b.model), whole, files };
}

test('weights in other files are read, and the model is then as if it had them inside', () => {
  const { bytes, whole, files } = modelBeside({});
  expect(externalFiles(bytes)).toEqual(['net.onnx.data', 'part/two.bin']);
  expect(writeOnnx(readOnnxWith(bytes, files))).toEqual(whole);
  expect(externalFiles(whole)).toEqual([]);
  expect(() => readOnnx(bytes)).toThrow(expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }));
});

test('a weight may lie anywhere in its file, and its length may be left out', () => {
  const { bytes, whole, files } = modelBeside({ offset: '3' });
  const data = files.get('net.onnx.data')!;
  files.set('net.onnx.data', Uint8Array.of(9, 9, 9, ...data, 9));
  expect(writeOnnx(readOnnxWith(bytes, files))).toEqual(whole);
});

test.each(['/etc/passwd', '../secret', 'a/../../b', 'c:\\secret', '..\\secret', '', 'a//b'])(
  'a file outside of the folder is not asked for: %s',
  (location) => {
    const { bytes, files } = modelBeside({ location });
    const refusal = expect.objectContaining({
      code: 'MODEL_CORRUPT',
      message: expect.stringContaining("not in the model's folder"),
    });
    expect(() => externalFiles(bytes)).toThrow(refusal);
    expect(() => readOnnxWith(bytes, files)).toThrow(refusal);
  },
);

test.each([
  ['ends before the weight does', { offset: '4' }, 'at 4 of net.onnx.data, which has 8'],
  ['has another length than the shape says', { length: '4' }, 'holds 4 bytes'],
  ['has an offset that is no number', { offset: '-1' }, 'its offset in net.onnx.data is "-1"'],
])('a file that %s is refused', (_, entries, message) => {
  const { bytes, files } = modelBeside(entries);
  expect(() => readOnnxWith(bytes, files, 'net.onnx')).toThrow(
    expect.objectContaining({ code: 'MODEL_CORRUPT', message: expect.stringContaining(message) }),
  );
});

test('a file that was not given is named', () => {
  const { bytes } = modelBeside({});
  expect(() => readOnnxWith(bytes, new Map())).toThrow(/net\.onnx\.data, which has none/);
});
