import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { compileBranch } from '@tierwise/binary/compile';
import { elementCount, random, sha256Hex, type Tensor, tensor } from '@tierwise/core';
import { extract, foldAffine, type ModelProto, quantizeInt8, readOnnx, writeOnnx } from '@tierwise/graph';
import { type Manifest, parseManifest } from '@tierwise/plan';
import { exportComposite, findNetwork, observedRanges, ports, untrainedWeights } from '@tierwise/train';
import { type TfjsNetwork, toTfjs } from './tfjs-network.ts';

/** A network as we ship it and as its rivals do. */
export interface Subject {
  readonly name: string;
  /** What the page of ours loads: manifest and branch. */
  readonly manifest: Manifest;
  readonly branch: Uint8Array;
  /** The whole network without the branch, batch norms folded: float32, and 8 bits in QDQ form. */
  readonly fp32: Uint8Array;
  readonly int8: Uint8Array;
  readonly tfjs: { readonly network: TfjsNetwork; readonly weights: Uint8Array };
}

const lenetFolder = new URL('../../models/lenet-mnist.tierwise/', import.meta.url);
const classes = 10;

/** `lenet` is the committed composite; the others have the weights that their training would start with. */
export async function openSubject(name: string): Promise<Subject> {
  const { model, manifest, branch } = name === 'lenet' ? await readLenet() : await makeUntrained(name);
  const main = foldAffine(extract(model, { inputs: [ports.input], outputs: [ports.main] }));
  return {
    name,
    manifest,
    branch,
    fp32: writeOnnx(main),
    int8: writeOnnx(quantizeInt8(main, await observedRanges(main, noise(manifest.input.dims)))),
    tfjs: toTfjs(main),
  };
}

async function readLenet(): Promise<{ model: ModelProto; manifest: Manifest; branch: Uint8Array }> {
  const read = (file: string) => readFile(fileURLToPath(new URL(file, lenetFolder)));
  const manifest = parseManifest(JSON.parse(String(await read('manifest.json'))), 'manifest.json');
  return {
    manifest,
    model: readOnnx(await read(manifest.main.artifact.file)),
    branch: await read(manifest.branch.artifact.file),
  };
}

async function makeUntrained(
  name: string,
): Promise<{ model: ModelProto; manifest: Manifest; branch: Uint8Array }> {
  const network = findNetwork(name);
  const { channels, height, width } = network.input;
  const { model, stemDims } = exportComposite(network, untrainedWeights(network, classes, 1), classes, {
    smallEnds: true,
  });
  const branch = compileBranch(model, {
    input: ports.input,
    outputs: [ports.stem, ports.branch],
    halfPrecisionEnds: true,
  });
  const scores = { dims: [1, classes] };
  const manifest = parseManifest(
    {
      format: 'tierwise/1',
      name,
      labels: Array.from({ length: classes }, (_, i) => `class ${i}`),
      preprocess: { channels, height, width, scale: 1, mean: [0], std: [1] },
      input: { tensor: ports.input, dims: [1, channels, height, width] },
      stem: { tensor: ports.stem, dims: stemDims },
      branch: {
        artifact: {
          file: 'branch.safetensors',
          digest: await sha256Hex(branch),
          bytes: branch.length,
          engine: 'binary',
        },
        scores: { ...scores, tensor: ports.branch },
      },
      // Nobody fetches it: the pages have no edge and no other engine.
      main: {
        artifact: { file: 'model.onnx', digest: '0'.repeat(64), bytes: 1, engine: 'onnx' },
        scores: { ...scores, tensor: ports.main },
      },
      codec: { kind: 'raw' },
      exit: { kind: 'end' },
      flops: { stem: 0, branch: 0, rest: 0 },
    },
    name,
  );
  return { model, manifest, branch };
}

/** A few noisy pictures: speed and size do not depend on how good ranges are. */
function noise(dims: readonly number[]): Tensor<'float32'>[] {
  const stream = random(3);
  const picture = () => Float32Array.from({ length: elementCount(dims) }, () => stream.below(256));
  return Array.from({ length: 4 }, () => tensor('float32', dims, picture()));
}
