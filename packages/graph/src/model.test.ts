import { create } from '@bufbuild/protobuf';
import { isTierwiseError, tensor } from '@tierwise/core';
import fc from 'fast-check';
import { StringStringEntryProtoSchema, TensorProto_DataLocation } from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { light, loadModel, modelBytes, modelFolder, trained } from '../test/models.ts';
import { GraphBuilder } from './builder.ts';
import { findStem, inferShapes, type ModelProto, readOnnx, split, summarize, writeOnnx } from './index.ts';

/** y = x * w + x over x [1, 4]. */
function smallModel(): ModelProto {
  const b = new GraphBuilder('small');
  const x = b.input('x', 'float32', [1, 4]);
  const w = b.initializer('w', tensor('float32', [4], Float32Array.of(1, 2, 3, 4)));
  b.output(b.op('Add', [b.op('Mul', [x, w]), x]), 'float32', [1, 4], 'y');
  return b.model;
}

/** Reads `bytes` and does all that can be done with a model; the outcome is a value or one TierwiseError. */
function exercise(bytes: Uint8Array): string {
  try {
    const model = readOnnx(bytes, 'fuzzed.onnx');
    writeOnnx(model);
    inferShapes(model);
    const { cuts } = summarize(model);
    if (cuts[0]) split(model, [cuts[0].tensor]);
    findStem(model);
    return 'read';
  } catch (error) {
    if (!isTierwiseError(error)) throw error;
    return error.code;
  }
}

describe.skipIf(!modelFolder)('models made by others', () => {
  test.each([...trained, ...light])('%s is written as it was read, byte for byte', (name) => {
    const bytes = modelBytes(name);
    expect(Buffer.compare(writeOnnx(readOnnx(bytes, name)), bytes)).toBe(0);
  });

  test('truncated at any byte, a model is refused or is a smaller model', () => {
    const bytes = modelBytes('light_bvlc_alexnet');
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), (length) => {
        expect(['MODEL_CORRUPT', 'MODEL_UNSUPPORTED', 'TENSOR_INVALID', 'read']).toContain(
          exercise(bytes.subarray(0, length)),
        );
      }),
      { numRuns: 500 },
    );
  });

  test.each(['light_bvlc_alexnet', 'light_squeezenet', 'lenet_4_8_32', 'mnist-cntk'])(
    '%s with flipped bits is a model or a typed error',
    (name) => {
      const bytes = modelBytes(name);
      const flips = fc.array(fc.nat({ max: bytes.length * 8 - 1 }), { minLength: 1, maxLength: 4 });
      fc.assert(
        fc.property(flips, (bits) => {
          const damaged = new Uint8Array(bytes);
          for (const bit of bits) damaged[bit >> 3]! ^= 1 << (bit & 7);
          expect(exercise(damaged)).toMatch(/^(MODEL_CORRUPT|MODEL_UNSUPPORTED|TENSOR_INVALID|read)$/);
        }),
        { numRuns: 400 },
      );
    },
  );
});

describe('bytes that are no model', () => {
  const corrupt = (bytes: Uint8Array) => {
    expect(() => readOnnx(bytes, 'broken.onnx')).toThrow(
      expect.objectContaining({ code: 'MODEL_CORRUPT', message: expect.stringContaining('broken.onnx') }),
    );
  };

  test('nothing, text, and noise', () => {
    corrupt(new Uint8Array(0));
    corrupt(new TextEncoder().encode('<!doctype html><title>Not found</title>'));
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), corrupt));
  });

  test('a length of four gigabytes is refused without reserving it', () => {
    corrupt(Uint8Array.of(0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3));
  });

  test('groups nested a hundred thousand deep', () => {
    corrupt(new Uint8Array(100_000).fill(0xa3));
  });
});

describe('a model that contradicts itself', () => {
  const refused = (change: (graph: NonNullable<ModelProto['graph']>, model: ModelProto) => void) => {
    const model = smallModel();
    change(model.graph!, model);
    return expect(() => readOnnx(writeOnnx(model), 'm.onnx'));
  };

  test('names what is wrong', () => {
    refused((_, model) => {
      model.opsetImport = [];
    }).toThrow('version of the ONNX operators');
    refused((graph) => {
      graph.output = [];
    }).toThrow('no output');
    refused((graph) => {
      graph.node.reverse();
    }).toThrow('which nothing before it makes');
    refused((graph) => {
      graph.node[0]!.input[1] = 'nowhere';
    }).toThrow('takes "nowhere"');
    refused((graph) => {
      graph.node[1]!.output[0] = 'x';
    }).toThrow('"x" is made twice');
    refused((graph) => {
      graph.output[0]!.name = 'z';
    }).toThrow('nothing makes the graph output "z"');
    refused((graph) => {
      graph.initializer[0]!.dims = [5n];
    }).toThrow('holds 16 bytes, its shape asks for 20');
    refused((graph) => {
      graph.initializer[0]!.dims = [1n << 62n];
    }).toThrow('has the shape');
    refused((graph) => {
      graph.initializer[0]!.dataType = 99;
    }).toThrow('unknown element type 99');
    refused((graph) => {
      graph.initializer[0]!.rawData = new Uint8Array(0);
      graph.initializer[0]!.floatData = [1, 2, 3];
    }).toThrow('holds 3 values, its shape asks for 4');
  });

  test('weights in another file are not supported', () => {
    refused((graph) => {
      const weight = graph.initializer[0]!;
      weight.rawData = new Uint8Array(0);
      weight.dataLocation = TensorProto_DataLocation.EXTERNAL;
      weight.externalData = [create(StringStringEntryProtoSchema, { key: 'location', value: 'weights.bin' })];
    }).toThrow(expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }));
  });
});

test('fields of a later version of ONNX survive', () => {
  const bytes = writeOnnx(smallModel());
  // Field 999, length-delimited, "later": appended to the model.
  const later = Uint8Array.of(...bytes, 0xba, 0x3e, 5, ...new TextEncoder().encode('later'));
  expect(writeOnnx(readOnnx(later))).toEqual(later);
});

test.skipIf(!modelFolder)('a model read from a Node Buffer at an odd offset has its weights', () => {
  const bytes = modelBytes('lenet_4_8_32');
  const shifted = Buffer.alloc(bytes.length + 1);
  shifted.set(bytes, 1);
  const shapes = inferShapes(readOnnx(shifted.subarray(1)));
  expect(shapes).toEqual(inferShapes(loadModel('lenet_4_8_32')));
});
