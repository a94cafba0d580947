import { normalize, type PreprocessSpec, type Tensor, TierwiseError, tensor } from '@tierwise/core';
import { extract, type ModelProto, statedDims, writeOnnx } from '@tierwise/graph';
import { type OrtSession, openSession } from '@tierwise/ort';

/** A trained network in inference form that a branch is trained on, alone or together with it. Of any opset. */
export interface Backbone {
  /** The first dimension of its tensors is open, or a fixed number of pictures that it takes at once. */
  readonly model: ModelProto;
  /**
   * `input` float32 [n, c, h, w], what `preprocess` makes of pixels; `stem` float32 [n, c, h, w], where the branch
   * leaves; `scores` float32 [n, classes] before softmax, which the branch learns to match.
   */
  readonly ports: { readonly input: string; readonly stem: string; readonly scores: string };
  readonly preprocess: PreprocessSpec;
}

/** A backbone that is loaded. */
export interface OpenBackbone extends AsyncDisposable {
  /** Shapes for one picture: [1, c, h, w] and [1, classes]. */
  readonly stemDims: readonly number[];
  readonly scoresDims: readonly number[];
  /**
   * `pixels` [n, c, h, w]; gives `stem` and `scores` of the same n. Where the scores are `known`, they are given back and
   * only the stem is computed.
   */
  run(
    pixels: Tensor<'uint8'>,
    known?: Tensor<'float32'>,
  ): Promise<{ stem: Tensor<'float32'>; scores: Tensor<'float32'> }>;
}

/** How many samples `input` of `model` takes at once; undefined where that is open. */
export function fixedBatch(model: ModelProto, input: string): number | undefined {
  const port = model.graph!.input.find(({ name }) => name === input);
  const first = port && statedDims(port)?.[0];
  return typeof first === 'number' && first > 0 ? first : undefined;
}

/**
 * Loads a backbone.
 * @throws TierwiseError MODEL_UNSUPPORTED when stem or scores have another rank or type; TENSOR_INVALID when the model
 *   has no such tensors; else what loading a model throws
 */
export async function openBackbone(backbone: Backbone, threads: number): Promise<OpenBackbone> {
  const { model, ports, preprocess: spec } = backbone;
  const piece = extract(model, { inputs: [ports.input], outputs: [ports.stem, ports.scores] });
  const session = await openSession(writeOnnx(piece), { threads });
  try {
    const atOnce = fixedBatch(model, ports.input);
    const { channels, height, width } = spec;

    let stemAlone: OrtSession | undefined;
    const atStem = async () => {
      stemAlone ??= await openSession(
        writeOnnx(extract(model, { inputs: [ports.input], outputs: [ports.stem] })),
        { threads },
      );
      return stemAlone;
    };

    const runOnce = async (pixels: Uint8Array, n: number, known?: Tensor<'float32'>) => {
      const input = tensor('float32', [n, channels, height, width], normalize(pixels, spec));
      const outputs = await (known ? await atStem() : session).run(new Map([[ports.input, input]]));
      const at = (name: string, rank: number) => {
        const found = outputs.get(name)!;
        if (found.dtype === 'float32' && found.dims.length === rank && found.dims[0] === n)
          return found as Tensor<'float32'>;
        throw new TierwiseError(
          'MODEL_UNSUPPORTED',
          `"${name}" of the backbone is ${found.dtype} [${found.dims}] for ${n} pictures, expected float32 [n, ${rank === 4 ? 'c, h, w' : 'classes'}]`,
          { tensor: name, dims: found.dims },
        );
      };
      return { stem: at(ports.stem, 4), scores: known ?? at(ports.scores, 2) };
    };

    const size = channels * height * width;
    const probe = await runOnce(new Uint8Array((atOnce ?? 1) * size), atOnce ?? 1);
    const single = ({ dims }: Tensor) => [1, ...dims.slice(1)];
    return {
      stemDims: single(probe.stem),
      scoresDims: single(probe.scores),
      async run({ data, dims }, known) {
        const n = dims[0]!;
        const part = atOnce ?? n;
        if (n % part !== 0)
          throw new TierwiseError(
            'USAGE',
            `the backbone takes ${part} pictures at once: a batch of ${n} is not a multiple of that`,
            { batch: n },
          );
        const parts = [];
        for (let from = 0; from < n; from += part)
          parts.push(await runOnce(data.subarray(from * size, (from + part) * size), part, known));
        return {
          stem: stacked(parts.map(({ stem }) => stem)),
          scores: known ?? stacked(parts.map(({ scores }) => scores)),
        };
      },
      async [Symbol.asyncDispose]() {
        await session.dispose();
        await stemAlone?.dispose();
      },
    };
  } catch (error) {
    await session.dispose();
    throw error;
  }
}

/** Tensors one after the other along their first dimension. */
function stacked(parts: readonly Tensor<'float32'>[]): Tensor<'float32'> {
  if (parts.length === 1) return parts[0]!;
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return tensor(
    'float32',
    [parts.reduce((n, { dims }) => n + dims[0]!, 0), ...parts[0]!.dims.slice(1)],
    data,
  );
}
