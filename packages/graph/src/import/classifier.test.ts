import { create } from '@bufbuild/protobuf';
import { fromFloat16, type Tensor, tensor, toFloat16 } from '@tierwise/core';
import { OperatorSetIdProtoSchema } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { light, loadModel, modelFolder, noise, trained } from '../../test/models.ts';
import { runModel } from '../../test/run.ts';
import {
  GraphBuilder,
  type ImportOptions,
  importClassifier,
  type ModelProto,
  stemCandidates,
} from '../index.ts';

const stored = (b: GraphBuilder, name: string, dims: readonly number[], seed = 1) =>
  b.initializer(name, noise(dims, seed));
const floats = (values: Tensor) => Array.from(values.data as Float32Array);
const pictures = (n: number, [, c, h, w]: readonly number[]) =>
  tensor('float32', [n, c!, h!, w!], floatsOf(n, [1, c!, h!, w!]));
const floatsOf = (n: number, dims: readonly number[]) =>
  Float32Array.from(Array.from({ length: n }, (_, i) => floats(noise(dims, i + 1))).flat());

/** The same picture with its channels last. */
function channelsLast({ dims, data }: Tensor<'float32'>): Tensor<'float32'> {
  const [n, c, h, w] = dims as [number, number, number, number];
  const out = data.map((_, i) => {
    const [at, channel] = [Math.floor(i / c), i % c];
    const [sample, position] = [Math.floor(at / (h * w)), at % (h * w)];
    return data[(sample * c + channel) * h * w + position]!;
  });
  return tensor('float32', [n, h, w, c], out);
}

function expectClose(found: readonly number[], expected: readonly number[]) {
  expect(found).toHaveLength(expected.length);
  const scale = Math.max(...expected.map(Math.abs), 1e-6);
  for (const [i, value] of found.entries()) expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-4 * scale);
}

/** The imported network's scores of `batch`, and how it came to them. */
async function scoresOf(model: ModelProto, batch: Tensor, options: ImportOptions = {}) {
  const imported = importClassifier(model, options);
  const { input, scores } = imported;
  const found = (await runModel(imported.model, new Map([[input.tensor, batch]]))).get(scores.tensor)!;
  expect(found.dims).toEqual([batch.dims[0], scores.classes]);
  return { ...imported, values: floats(found) };
}

const run = async (model: ModelProto, name: string, x: Tensor, output: string) =>
  floats((await runModel(model, new Map([[name, x]]))).get(output)!);

function softmax(values: readonly number[]): number[] {
  const exps = values.map((x) => Math.exp(x - Math.max(...values)));
  return exps.map((x) => x / exps.reduce((a, b) => a + b, 0));
}

describe.skipIf(!modelFolder)('models made by others', () => {
  it.each(trained.filter((name) => !/ultraface|ppocr/.test(name)))(
    '%s: three pictures at once give what each gave alone',
    async (name) => {
      const model = loadModel(name);
      const { input } = importClassifier(model);
      const batch = pictures(3, input.dims);
      const { values } = await scoresOf(model, batch);
      const alone: number[] = [];
      for (const seed of [1, 2, 3])
        alone.push(
          ...(await run(model, input.tensor, noise(input.dims, seed), model.graph!.output[0]!.name)),
        );
      expectClose(values, alone);
    },
  );

  it.each(light)('%s: its scores before softmax, any batch, and a stem', (name) => {
    const { model, scores, notes } = importClassifier(loadModel(name));
    expect(scores.classes).toBe(1000);
    expect(notes.join()).toMatch(/before Softmax/);
    expect(model.graph!.output).toHaveLength(1);
    expect(stemCandidates(model).length).toBeGreaterThan(1);
  });

  it('a direction classifier says its size when it is asked to', async () => {
    const model = loadModel('ppocr_mobile_cls');
    expect(() => importClassifier(model)).toThrow(/--size/);
    const size = { height: 48, width: 192 };
    const { values, input } = await scoresOf(model, pictures(2, [1, 3, 48, 192]), { size });
    const whole = await run(model, input.tensor, pictures(2, [1, 3, 48, 192]), 'softmax_0.tmp_0');
    expectClose([softmax(values.slice(0, 2)), softmax(values.slice(2))].flat(), whole);
  });

  it('refuses a detector, and says what it gives', () => {
    expect(() => importClassifier(loadModel('ultraface-RFB-320'))).toThrow(
      expect.objectContaining({
        code: 'MODEL_UNSUPPORTED',
        message: expect.stringMatching(/scores float32 \[1,4420,2\].*Only classifiers/),
      }),
    );
  });
});

/** An export that thinks in NHWC: a picture [n, h, w, c], and transposes around every convolution. */
function nhwcNetwork(): ModelProto {
  const b = new GraphBuilder('nhwc');
  let x = b.input('image', 'float32', ['batch', 8, 8, 3]);
  x = b.mul(b.sub(x, stored(b, 'mean', [3])), b.scalar(0.5));
  x = b.op('Pad', [x, b.ints(0, 1, 0, 0, 0, 0, 1, 0)]);
  x = b.op('Conv', [b.transpose(x, [0, 3, 1, 2]), stored(b, 'w1', [4, 3, 3, 3])]);
  x = b.add(b.transpose(x, [0, 2, 3, 1]), stored(b, 'b1', [1, 1, 1, 4]));
  x = b.op(
    'MaxPool',
    [b.transpose(b.relu(x), [0, 3, 1, 2])],
    { kernel_shape: [2, 2], strides: [2, 2] },
    'pooled',
  );
  x = b.reshape(b.transpose(x, [0, 2, 3, 1]), [-1, 4 * 3 * 3]);
  x = b.add(b.op('MatMul', [x, stored(b, 'w2', [36, 5])]), stored(b, 'b2', [5]), 'logits');
  b.output(b.op('Softmax', [x], { axis: 1 }, 'probability'), 'float32', ['batch', 5]);
  return b.model;
}

/** conv -> relu -> [n, 4, 4, 4] for `batch` pictures of 6 x 6. */
function features(b: GraphBuilder, batch: number | string) {
  const x = b.input('x', 'float32', [batch, 3, 6, 6]);
  return b.relu(b.op('Conv', [x, stored(b, 'w', [4, 3, 3, 3])]), 'features');
}

describe('importClassifier', () => {
  it('turns NHWC around and takes the transposes out that then undo each other', async () => {
    const model = nhwcNetwork();
    const batch = pictures(2, [1, 3, 8, 8]);
    const { values, model: imported, notes } = await scoresOf(model, batch);
    const probabilities = await run(model, 'image', channelsLast(batch), 'probability');
    expectClose([softmax(values.slice(0, 5)), softmax(values.slice(5))].flat(), probabilities);
    // One is left, where pixels are laid out for the dense layer.
    expect(imported.graph!.node.filter(({ opType }) => opType === 'Transpose')).toHaveLength(1);
    expect(stemCandidates(imported)[0]).toBe('pooled');
    expect(notes.join()).toMatch(/NHWC/);
  });

  it.each([
    [1, 0],
    [4, 0],
    [1, 1],
  ])('opens a batch that was fixed at %d, with allowzero %d', async (batch, allowzero) => {
    const b = new GraphBuilder('fixed');
    const x = b.op('Reshape', [features(b, batch), b.ints(batch, 64)], { allowzero });
    b.output(b.gemm(x, stored(b, 'fc', [64, 5])), 'float32', [batch, 5], 'y');
    const x4 = pictures(batch, [1, 3, 6, 6]);
    const { values } = await scoresOf(b.model, pictures(batch + 1, [1, 3, 6, 6]));
    expectClose(values.slice(0, batch * 5), await run(b.model, 'x', x4, 'y'));
  });

  it('opens a batch of one that is flattened from its first axis on', async () => {
    const b = new GraphBuilder('axis0');
    const x = b.op('Flatten', [features(b, 1)], { axis: 0 });
    b.output(b.gemm(x, stored(b, 'fc', [64, 5])), 'float32', [1, 5], 'y');
    const one = pictures(1, [1, 3, 6, 6]);
    const { values } = await scoresOf(b.model, pictures(2, [1, 3, 6, 6]));
    expectClose(values.slice(0, 5), await run(b.model, 'x', one, 'y'));
  });

  it.each(['n', 1])('takes pictures where the network had them flattened, a batch of %s', async (batch) => {
    const b = new GraphBuilder('flat');
    const flat = b.input('flat', 'float32', [batch, 108]);
    const x = b.op('Conv', [b.reshape(flat, [-1, 3, 6, 6]), stored(b, 'conv', [4, 3, 3, 3])]);
    b.output(b.gemm(b.op('Flatten', [x]), stored(b, 'fc', [64, 5])), 'float32', [batch, 5], 'y');
    const imported = importClassifier(b.model);
    expect(imported).toMatchObject({ input: { tensor: 'flat', dims: [1, 3, 6, 6] } });
    expect(imported.notes).toContain('input "flat" is a flattened picture and becomes a picture');
    const one = pictures(1, [1, 3, 6, 6]);
    const asFlat = tensor('float32', [1, 108], one.data);
    const { values } = await scoresOf(b.model, one);
    expectClose(values, await run(b.model, 'flat', asFlat, 'y'));
  });

  it.each([
    ['throughout', false],
    ['between float32 ends', true],
  ])('makes float32 of float16 %s', async (_, ends) => {
    const build = (dtype: 'float16' | 'float32') => {
      const b = new GraphBuilder(dtype);
      const halves = (name: string, dims: readonly number[]) => {
        const bits = toFloat16(noise(dims, 3).data as Float32Array);
        const data = dtype === 'float16' ? bits : fromFloat16(bits);
        return b.initializer(name, tensor(dtype, dims, data as never));
      };
      const isCast = ends && dtype === 'float16';
      const x = b.input('x', isCast ? 'float32' : dtype, ['n', 3, 6, 6]);
      const y = b.op('Conv', [isCast ? b.op('Cast', [x], { to: 10 }) : x, halves('conv', [4, 3, 3, 3])]);
      const scores = b.gemm(b.op('Flatten', [y]), halves('fc', [64, 5]));
      const out = isCast ? b.op('Cast', [scores], { to: 1 }) : scores;
      b.output(out, isCast ? 'float32' : dtype, ['n', 5], 'y');
      return b.model;
    };
    const batch = pictures(2, [1, 3, 6, 6]);
    const { values, notes } = await scoresOf(build('float16'), batch);
    expectClose(values, await run(build('float32'), 'x', batch, 'y'));
    expect(notes[0]).toBe('its float16 numbers are float32 now');
  });

  it('takes float32 pictures where the network made them float32 first', async () => {
    const b = new GraphBuilder('bytes');
    const x = b.op('Cast', [b.input('x', 'uint8', ['n', 3, 6, 6])], { to: 1 });
    const y = b.op('Conv', [x, stored(b, 'conv', [4, 3, 3, 3])]);
    b.output(b.gemm(b.op('Flatten', [y]), stored(b, 'fc', [64, 5])), 'float32', ['n', 5], 'y');
    const bytes = tensor(
      'uint8',
      [1, 3, 6, 6],
      Uint8Array.from({ length: 108 }, (_, i) => 7 * i),
    );
    const { values, notes } = await scoresOf(
      b.model,
      tensor('float32', bytes.dims, Float32Array.from(bytes.data)),
    );
    expectClose(values, await run(b.model, 'x', bytes, 'y'));
    expect(notes).toEqual([expect.stringContaining('is float32 now')]);
  });

  it('names the node that mixes the pictures of a batch', () => {
    const b = new GraphBuilder('mixed');
    const x = b.reshape(features(b, 2), [128]);
    const y = b.reshape(x, [2, 64]);
    b.output(b.gemm(y, stored(b, 'fc', [64, 5])), 'float32', [2, 5], 'y');
    expect(() => importClassifier(b.model)).toThrow(
      /Reshape "Reshape_reshape": it works for a batch of 2 only/,
    );
  });

  it('asks which of several outputs are the scores, and takes any tensor by name', async () => {
    const b = new GraphBuilder('two');
    const x = b.op('Flatten', [features(b, 'n')], { axis: 1 });
    b.output(b.gemm(x, stored(b, 'fc', [64, 5])), 'float32', ['n', 5], 'main');
    b.output(b.gemm(x, stored(b, 'aux', [64, 5])), 'float32', ['n', 5], 'auxiliary');
    expect(() => importClassifier(b.model)).toThrow(
      expect.objectContaining({
        code: 'USAGE',
        message: expect.stringMatching(/main .*auxiliary .*--output/),
      }),
    );
    const batch = pictures(2, [1, 3, 6, 6]);
    const { values, model } = await scoresOf(b.model, batch, { output: 'auxiliary' });
    expectClose(values, await run(b.model, 'x', batch, 'auxiliary'));
    expect(model.graph!.initializer.map(({ name }) => name)).not.toContain('fc');
    expect(() => importClassifier(b.model, { output: 'nothing' })).toThrow(/no tensor "nothing".*main/);
    expect(() => importClassifier(b.model, { output: 'features' })).toThrow(/no row of scores/);
  });

  it('does not ask when one output is the other one after softmax, or whole numbers', async () => {
    const b = new GraphBuilder('both');
    const x = b.gemm(
      b.op('Flatten', [features(b, 'n')], { axis: 1 }),
      stored(b, 'fc', [64, 5]),
      {},
      'logits',
    );
    b.output(x, 'float32', ['n', 5]);
    b.output(b.op('Softmax', [x], { axis: 1 }), 'float32', ['n', 5], 'probability');
    b.output(b.op('ArgMax', [x], { axis: 1, keepdims: 0 }), 'int64', ['n'], 'class');
    expect((await scoresOf(b.model, pictures(2, [1, 3, 6, 6]))).scores).toEqual({
      tensor: 'logits',
      classes: 5,
    });
  });

  it('brings operators of version 8 to those of today', async () => {
    const b = new GraphBuilder('old');
    let x = features(b, 'n');
    const norm = ['gamma', 'beta', 'mean'].map((name, i) => stored(b, name, [4], i + 1));
    norm.push(b.initializer('variance', tensor('float32', [4], Float32Array.of(1, 2, 3, 4))));
    x = b.op('BatchNormalization', [x, ...norm], { spatial: 1 });
    x = b.op('Clip', [x], { min: { float: -0.5 }, max: { float: 0.5 } });
    x = b.op('Pad', [x], { pads: [0, 0, 1, 1, 0, 0, 1, 1], value: { float: 0.25 } });
    x = b.op('Slice', [x], { starts: [1, 1], ends: [5, 5], axes: [2, 3] });
    x = b.concat(b.opN('Split', [x], 2, { axis: 1, split: [1, 3] }), 1);
    x = b.op('Dropout', [x], { ratio: { float: 0.5 } });
    x = b.op('Conv', [x, stored(b, 'w5', [5, 4, 1, 1])]);
    x = b.op('ReduceMean', [x], { axes: [2, 3], keepdims: 0 });
    x = b.op('Squeeze', [b.op('Unsqueeze', [x], { axes: [2, 3] })], { axes: [3] });
    b.output(b.op('Softmax', [x]), 'float32', ['n', 5, 1], 'y');
    b.model.opsetImport = [create(OperatorSetIdProtoSchema, { domain: '', version: 8n })];
    const batch = pictures(2, [1, 3, 6, 6]);
    const { values } = await scoresOf(b.model, batch);
    expectClose(
      [softmax(values.slice(0, 5)), softmax(values.slice(5))].flat(),
      await run(b.model, 'x', batch, 'y'),
    );
  });

  it('lays the second operand of version 6 along the axis that it names', async () => {
    const network = (old: boolean) => {
      const b = new GraphBuilder('six');
      let x = features(b, 'n');
      const bias = stored(b, 'bias', [4]);
      x = old ? b.op('Add', [x, bias], { axis: 1, broadcast: 1 }) : b.add(x, b.reshape(bias, [4, 1, 1]));
      const slope = stored(b, 'slope', [4]);
      x = b.op('PRelu', [x, old ? slope : b.reshape(slope, [4, 1, 1])]);
      x = b.op('Flatten', [b.op('GlobalAveragePool', [x])]);
      b.output(x, 'float32', ['n', 4], 'y');
      if (old) b.model.opsetImport = [create(OperatorSetIdProtoSchema, { domain: '', version: 6n })];
      return b.model;
    };
    const batch = pictures(2, [1, 3, 6, 6]);
    expectClose((await scoresOf(network(true), batch)).values, await run(network(false), 'x', batch, 'y'));
  });

  it('makes zeros around a picture part of the convolution that takes them', async () => {
    const b = new GraphBuilder('padded');
    const padded = b.op('Pad', [b.input('x', 'float32', ['n', 3, 6, 6]), b.ints(0, 0, 1, 2, 0, 0, 0, 1)]);
    let x = b.op('Conv', [padded, stored(b, 'w', [4, 3, 3, 3])], { pads: [0, 1, 1, 0] });
    x = b.op('MaxPool', [b.op('Pad', [x, b.ints(0, 0, 0, 0, 0, 0, 0, 0)])], { kernel_shape: [2, 2] });
    b.output(b.op('Flatten', [b.op('GlobalAveragePool', [x])]), 'float32', ['n', 4], 'y');
    const batch = pictures(2, [1, 3, 6, 6]);
    const { values, model } = await scoresOf(b.model, batch);
    expectClose(values, await run(b.model, 'x', batch, 'y'));
    expect(model.graph!.node.map(({ opType }) => opType)).not.toContain('Pad');
  });

  it('takes red first where the network took blue first', async () => {
    const network = () => {
      const b = new GraphBuilder('bgr');
      b.output(b.op('Flatten', [b.op('GlobalAveragePool', [features(b, 'n')])]), 'float32', ['n', 4], 'y');
      return b.model;
    };
    const rgb = pictures(1, [1, 3, 6, 6]);
    const plane = (c: number) => rgb.data.subarray(c * 36, (c + 1) * 36);
    const bgr = tensor('float32', rgb.dims, Float32Array.from([...plane(2), ...plane(1), ...plane(0)]));
    const { values } = await scoresOf(network(), rgb, { bgr: true });
    expectClose(values, await run(network(), 'x', bgr, 'y'));
    expect(() => importClassifier(nhwcNetwork(), { bgr: true })).toThrow(/blue first .*Sub ".*" takes it/);
  });

  it('softmax over several dimensions at once keeps its meaning', async () => {
    const b = new GraphBuilder('planes');
    const y = b.op('Softmax', [features(b, 'n')]);
    b.output(b.op('Flatten', [b.op('GlobalAveragePool', [y])]), 'float32', ['n', 4], 'y');
    b.model.opsetImport = [create(OperatorSetIdProtoSchema, { domain: '', version: 11n })];
    const batch = pictures(2, [1, 3, 6, 6]);
    expectClose((await scoresOf(b.model, batch)).values, await run(b.model, 'x', batch, 'y'));
  });

  it.each([
    ['several inputs', [1, 3, 6, 6], true, /takes 2 inputs \(x, z\)/],
    ['a vector', [1, 5], false, /has the shape \[1,5\]/],
    ['five channels', [1, 5, 6, 6], false, /neither its second nor its last dimension is 1 \(grey\) or 3/],
  ])('refuses %s', (_, dims, second, message) => {
    const b = new GraphBuilder('refused');
    const x = b.op('Flatten', [b.input('x', 'float32', dims)], { axis: 1 });
    b.output(second ? b.concat([x, b.input('z', 'float32', [1, 5])], 1) : x, 'float32', [1, 'c'], 'y');
    expect(() => importClassifier(b.model)).toThrow(
      expect.objectContaining({ code: 'MODEL_UNSUPPORTED', message: expect.stringMatching(message) }),
    );
  });
});
