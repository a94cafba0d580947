import { tensor } from '@tierwise/core';
import { GraphBuilder, type ModelProto, type Value } from '@tierwise/graph';

/**
 * The 224-pixel forms of the networks, for 1,000 classes: graphs for shapes, sizes, cuts and Plans. They cannot be
 * trained on two cores, so their weights are made by ConstantOfShape and take no room; `tierwise attach` gives a trained
 * one, exported from elsewhere, its branch. Layers and parameter counts are those of torchvision.
 */
export const imagenetGraphs: Readonly<Record<string, () => ModelProto>> = {
  'alexnet-224': () => written('alexnet-224', alexnet),
  'resnet18-224': () => written('resnet18-224', resnet18),
  'vgg16-224': () => written('vgg16-224', vgg16),
  'mobilenet-v2-224': () => written('mobilenet-v2-224', mobilenetV2),
};

const classes = 1000;

/** A tensor [n, c, ...] on its way through a network. */
interface Map {
  readonly value: Value;
  readonly c: number;
}

function written(name: string, network: (w: Writer, x: Map) => Map): ModelProto {
  const b = new GraphBuilder(name);
  const { value } = network(new Writer(b), {
    value: b.input('picture', 'float32', ['N', 3, 224, 224]),
    c: 3,
  });
  b.output(value, 'float32', ['N', classes], 'scores');
  return b.model;
}

/** Layers with weights of zero. */
class Writer {
  readonly #b: GraphBuilder;

  constructor(builder: GraphBuilder) {
    this.#b = builder;
  }

  #weights(...dims: readonly number[]): Value {
    const zero = tensor('float32', [1], new Float32Array(1));
    return this.#b.op('ConstantOfShape', [this.#b.ints(...dims)], { value: { tensor: zero } });
  }

  conv(
    x: Map,
    c: number,
    kernel: number,
    o: { stride?: number; pad?: number; groups?: number; bias?: boolean } = {},
  ): Map {
    const { stride = 1, pad = 0, groups = 1, bias = false } = o;
    const weights = [this.#weights(c, x.c / groups, kernel, kernel), ...(bias ? [this.#weights(c)] : [])];
    const attributes = {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [pad, pad, pad, pad],
      group: groups,
    };
    return { value: this.#b.op('Conv', [x.value, ...weights], attributes), c };
  }

  norm(x: Map): Map {
    const four = [1, 2, 3, 4].map(() => this.#weights(x.c));
    return { ...x, value: this.#b.op('BatchNormalization', [x.value, ...four]) };
  }

  relu = (x: Map): Map => ({ ...x, value: this.#b.relu(x.value) });
  relu6 = (x: Map): Map => ({
    ...x,
    value: this.#b.op('Clip', [x.value, this.#b.scalar(0), this.#b.scalar(6)]),
  });
  add = (x: Map, y: Map): Map => ({ ...x, value: this.#b.add(x.value, y.value) });

  maxPool(x: Map, kernel: number, stride: number, pad = 0): Map {
    const attributes = {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [pad, pad, pad, pad],
    };
    return { ...x, value: this.#b.op('MaxPool', [x.value], attributes) };
  }

  /** Of a map with `positions` places; `x` is averaged over them when there are none to keep. */
  flat = (x: Map, positions: number): Map => ({
    value: this.#b.op('Flatten', [positions === 1 ? this.#b.op('GlobalAveragePool', [x.value]) : x.value]),
    c: x.c * positions,
  });

  dense(x: Map, units: number): Map {
    const c = this.#weights(units);
    return { value: this.#b.gemm(x.value, this.#weights(units, x.c), { transB: 1, c }), c: units };
  }
}

/** Krizhevsky 2014, one tower: 61,100,840 parameters. */
function alexnet(w: Writer, picture: Map): Map {
  let x = w.maxPool(w.relu(w.conv(picture, 64, 11, { stride: 4, pad: 2, bias: true })), 3, 2);
  x = w.maxPool(w.relu(w.conv(x, 192, 5, { pad: 2, bias: true })), 3, 2);
  for (const filters of [384, 256, 256]) x = w.relu(w.conv(x, filters, 3, { pad: 1, bias: true }));
  x = w.flat(w.maxPool(x, 3, 2), 36);
  return w.dense(w.relu(w.dense(w.relu(w.dense(x, 4096)), 4096)), classes);
}

/** He et al. 2016: 11,689,512 parameters. */
function resnet18(w: Writer, picture: Map): Map {
  let x = w.maxPool(w.relu(w.norm(w.conv(picture, 64, 7, { stride: 2, pad: 3 }))), 3, 2, 1);
  for (const filters of [64, 128, 256, 512])
    for (const part of [1, 2]) {
      const stride = filters > 64 && part === 1 ? 2 : 1;
      const first = w.relu(w.norm(w.conv(x, filters, 3, { stride, pad: 1 })));
      const second = w.norm(w.conv(first, filters, 3, { pad: 1 }));
      x = w.relu(w.add(second, stride === 1 ? x : w.norm(w.conv(x, filters, 1, { stride }))));
    }
  return w.dense(w.flat(x, 1), classes);
}

/** Simonyan and Zisserman 2014, configuration D: 138,357,544 parameters. */
function vgg16(w: Writer, picture: Map): Map {
  let x = picture;
  for (const stage of [
    [64, 64],
    [128, 128],
    [256, 256, 256],
    [512, 512, 512],
    [512, 512, 512],
  ]) {
    for (const filters of stage) x = w.relu(w.conv(x, filters, 3, { pad: 1, bias: true }));
    x = w.maxPool(x, 2, 2);
  }
  return w.dense(w.relu(w.dense(w.relu(w.dense(w.flat(x, 49), 4096)), 4096)), classes);
}

/** Sandler et al. 2018, table 2: 3,504,872 parameters. */
function mobilenetV2(w: Writer, picture: Map): Map {
  let x = w.relu6(w.norm(w.conv(picture, 32, 3, { stride: 2, pad: 1 })));
  for (const [expansion, filters, count, stride] of [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
  ] as const)
    for (let part = 0; part < count; part++) {
      const wide = x.c * expansion;
      const expanded = expansion === 1 ? x : w.relu6(w.norm(w.conv(x, wide, 1)));
      const step = part === 0 ? stride : 1;
      const y = w.relu6(w.norm(w.conv(expanded, wide, 3, { stride: step, pad: 1, groups: wide })));
      const projected = w.norm(w.conv(y, filters, 1));
      x = step === 1 && x.c === filters ? w.add(projected, x) : projected;
    }
  return w.dense(w.flat(w.relu6(w.norm(w.conv(x, 1280, 1))), 1), classes);
}
