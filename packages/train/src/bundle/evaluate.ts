import { binaryEngine } from '@tierwise/binary';
import {
  argmax,
  elementCount,
  normalize,
  normalizedEntropy,
  type PreprocessSpec,
  softmax,
  type Tensor,
  TierwiseError,
  tensor,
} from '@tierwise/core';
import type { Dataset } from '@tierwise/data';
import { extract, readOnnx, writeOnnx } from '@tierwise/graph';
import { type OrtSession, openSession } from '@tierwise/ort';
import type { Artifact, CodecPolicy, LoadedSection, Manifest } from '@tierwise/plan';
import { pack, unpack } from '@tierwise/wire';
import { type Interval, wilson } from '../design/interval.ts';
import { samplesAtOnce } from '../training/batches.ts';
import { predicted } from '../training/validate.ts';
import { atThreshold, type ExitSample } from './threshold.ts';

/** What `tierwise eval` prints. Accuracies and rates are shares, with 95 % intervals; bytes are those of the file. */
export interface Evaluation {
  readonly main: { readonly accuracy: number; readonly accuracyInterval: Interval; readonly bytes: number };
  readonly branch: { readonly accuracy: number; readonly accuracyInterval: Interval; readonly bytes: number };
  readonly composite: {
    readonly accuracy: number;
    readonly accuracyInterval: Interval;
    readonly exitRate: number;
    readonly exitRateInterval: Interval;
    readonly threshold: number;
    readonly codec: string;
    /** Mean bytes of the packed stem over the samples that did not exit. */
    readonly payloadBytes: number;
  };
  readonly test: { readonly data: string; readonly samples: number };
}

export interface Progress {
  readonly done: number;
  readonly samples: number;
}

/** The parts of a composite, ready to be measured: the branch as deployed, the main network and its rest on onnxruntime. */
export interface Measured extends AsyncDisposable {
  /** Share of `data` that the whole main network gets right from the pixels. */
  mainAccuracy(data: Dataset): Promise<number>;
  /** Stems, float32 [samples, ...stem], and scores of the branch program, float32 [samples, classes]. */
  branch(
    data: Dataset,
    onProgress?: (progress: Progress) => void,
    signal?: AbortSignal,
  ): Promise<{ stems: Float32Array; scores: Float32Array }>;
  /**
   * For each sample, the scores of the rest when its stem goes through `codec`, float32 [samples, classes], whether they
   * are right, and the bytes that takes; 0 for those not `wanted`.
   */
  rest(
    data: Dataset,
    stems: Float32Array,
    codec: CodecPolicy,
    wanted?: (sample: number) => boolean,
  ): Promise<{ scores: Float32Array; right: Uint8Array; payloadBytes: Uint32Array }>;
}

/**
 * Opens a composite for measuring. `ports` names its tensors as the manifest does.
 * @throws TierwiseError MODEL_CORRUPT | PROGRAM_CORRUPT and what opening a session throws
 */
export async function openComposite(parts: {
  model: Uint8Array;
  branch: Uint8Array;
  ports: Pick<Manifest, 'input' | 'stem'> & { main: string; branch: string };
  /** How the network takes pixels; the pictures of the data have its size already. */
  preprocess: PreprocessSpec;
  threads: number;
}): Promise<Measured> {
  const { ports, threads } = parts;
  const proto = readOnnx(parts.model, 'model.onnx');
  const whole = await openSession(
    writeOnnx(extract(proto, { inputs: [ports.input.tensor], outputs: [ports.main] })),
    { threads },
  );
  const rest = await openSession(
    writeOnnx(extract(proto, { inputs: [ports.stem.tensor], outputs: [ports.main] })),
    { threads },
  );
  const program = await binaryEngine().load(parts.branch, {
    id: 'branch',
    place: 'device',
    engine: 'binary',
    artifact: '0'.repeat(64) as Manifest['branch']['artifact']['digest'],
    model: 'branch',
    inputs: [ports.input],
    outputs: [ports.stem, { tensor: ports.branch, dims: [1, 1] }],
  });
  return measure(whole, rest, program, ports, parts.preprocess);
}

/** Opens what a bundle holds, as `openComposite` does; `bytesOf` gives the bytes of its artifacts. */
export function openBundled(
  manifest: Manifest,
  bytesOf: (artifact: Artifact) => Uint8Array,
  threads: number,
): Promise<Measured> {
  const { input, stem, main, branch } = manifest;
  return openComposite({
    model: bytesOf(main.artifact),
    branch: bytesOf(branch.artifact),
    ports: { input, stem, main: main.scores.tensor, branch: branch.scores.tensor },
    preprocess: manifest.preprocess,
    threads,
  });
}

function measure(
  whole: OrtSession,
  rest: OrtSession,
  program: LoadedSection,
  ports: { input: Manifest['input']; stem: Manifest['stem']; main: string; branch: string },
  preprocess: PreprocessSpec,
): Measured {
  const inputSize = elementCount(ports.input.dims);
  const batch = samplesAtOnce(inputSize);
  const pixels = (data: Dataset, from: number, to: number) =>
    tensor(
      'float32',
      [to - from, ...ports.input.dims.slice(1)],
      normalize(data.images.subarray(from * inputSize, to * inputSize), preprocess),
    );
  const inBatches = async (data: Dataset, step: (from: number, to: number) => Promise<void>) => {
    for (let from = 0; from < data.samples; from += batch)
      await step(from, Math.min(data.samples, from + batch));
  };
  return {
    async mainAccuracy(data) {
      let right = 0;
      await inBatches(data, async (from, to) => {
        const scores = (await whole.run(new Map([[ports.input.tensor, pixels(data, from, to)]]))).get(
          ports.main,
        )!;
        right += hits(scores, data, from).reduce((a, b) => a + b, 0);
      });
      return right / data.samples;
    },

    async branch(data, onProgress, signal) {
      const stemSize = ports.stem.dims.reduce((a, d) => a * d, 1);
      const stems = new Float32Array(data.samples * stemSize);
      const scores = new Float32Array(data.samples * data.classes.length);
      await inBatches(data, async (from, to) => {
        if (signal?.aborted) throw new TierwiseError('CANCELLED', 'measuring was cancelled');
        const outputs = await program.run(new Map([[ports.input.tensor, pixels(data, from, to)]]));
        stems.set(outputs.get(ports.stem.tensor)!.data as Float32Array, from * stemSize);
        scores.set(outputs.get(ports.branch)!.data as Float32Array, from * data.classes.length);
        onProgress?.({ done: to, samples: data.samples });
        await new Promise(setImmediate);
      });
      return { stems, scores };
    },

    async rest(data, stems, codec, wanted = () => true) {
      const size = stems.length / data.samples;
      const classes = data.classes.length;
      const scores = new Float32Array(data.samples * classes);
      const right = new Uint8Array(data.samples);
      const payloadBytes = new Uint32Array(data.samples);
      const chosen = Array.from({ length: data.samples }, (_, i) => i).filter(wanted);
      for (let at = 0; at < chosen.length; at += batch) {
        const samples = chosen.slice(at, at + batch);
        const delivered = new Float32Array(samples.length * size);
        for (const [i, sample] of samples.entries()) {
          const packed = pack(
            tensor('float32', ports.stem.dims, stems.slice(sample * size, (sample + 1) * size)),
            codec,
          );
          payloadBytes[sample] = packed.length;
          delivered.set(unpack(packed).data, i * size);
        }
        const given = (
          await rest.run(
            new Map([
              [
                ports.stem.tensor,
                tensor('float32', [samples.length, ...ports.stem.dims.slice(1)], delivered),
              ],
            ]),
          )
        ).get(ports.main)!;
        for (const [i, sample] of samples.entries()) {
          right[sample] = Number(predicted(given, i) === data.labels[sample]);
          const row = (given.data as Float32Array).subarray(i * classes, (i + 1) * classes);
          scores.set(row, sample * classes);
        }
      }
      return { scores, right, payloadBytes };
    },

    async [Symbol.asyncDispose]() {
      await Promise.all([whole.dispose(), rest.dispose(), program.dispose()]);
    },
  };
}

function hits(scores: Tensor, data: Dataset, from: number): number[] {
  return Array.from({ length: scores.dims[0]! }, (_, i) =>
    Number(predicted(scores, i) === data.labels[from + i]),
  );
}

/** Normalised entropy of each row of scores, and whether its largest is at the label. */
export function judgeBranch(
  scores: Float32Array,
  data: Dataset,
): { entropies: Float64Array; right: Uint8Array } {
  const classes = data.classes.length;
  const entropies = new Float64Array(data.samples);
  const right = new Uint8Array(data.samples);
  for (let i = 0; i < data.samples; i++) {
    const row = scores.subarray(i * classes, (i + 1) * classes);
    entropies[i] = normalizedEntropy(softmax(row));
    right[i] = Number(argmax(row) === data.labels[i]);
  }
  return { entropies, right };
}

/** The samples `from` to `to` of `data`, on the same memory. */
function slice(data: Dataset, from: number, to: number): Dataset {
  const size = data.channels * data.height * data.width;
  return {
    ...data,
    images: data.images.subarray(from * size, to * size),
    labels: data.labels.subarray(from, to),
    samples: to - from,
  };
}

export interface JudgeOptions {
  /** Which samples the rest finishes, by the branch's entropy; of the others `mainRight` is false and nothing is sent. */
  readonly finish?: (entropy: number) => boolean;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal;
}

/**
 * What branch and rest say of each sample of `data`, as deployed: pixels through the branch program, its stem through
 * `codec` and the rest. Stems are kept for one batch at a time.
 */
export async function judge(
  composite: Measured,
  data: Dataset,
  codec: CodecPolicy,
  { finish = () => true, onProgress, signal }: JudgeOptions = {},
): Promise<ExitSample[]> {
  const samples: ExitSample[] = [];
  const batch = samplesAtOnce(data.channels * data.height * data.width);
  for (let from = 0; from < data.samples; from += batch) {
    const part = slice(data, from, Math.min(data.samples, from + batch));
    const { stems, scores } = await composite.branch(part, undefined, signal);
    const { entropies, right } = judgeBranch(scores, part);
    const rest = await composite.rest(part, stems, codec, (sample) => finish(entropies[sample]!));
    for (const [i, entropy] of entropies.entries())
      samples.push({
        entropy,
        branchRight: right[i] === 1,
        mainRight: rest.right[i] === 1,
        payloadBytes: rest.payloadBytes[i]!,
      });
    onProgress?.({ done: samples.length, samples: data.samples });
  }
  return samples;
}

/** The threshold of an exit; 1.01, so everybody exits, where the branch always answers. */
export function thresholdOf({ exit }: Pick<Manifest, 'exit'>): number {
  return exit.kind === 'entropy' ? exit.threshold : 1.01;
}

/** Measures a composite over every sample of `data` as it is deployed, with the manifest's codec and threshold. */
export async function evaluate(
  composite: Measured,
  manifest: Manifest,
  data: Dataset,
  options: Omit<JudgeOptions, 'finish'> = {},
): Promise<Evaluation> {
  const mainAccuracy = await composite.mainAccuracy(data);
  const threshold = thresholdOf(manifest);
  const samples = await judge(composite, data, manifest.codec, {
    ...options,
    finish: (entropy) => entropy >= threshold,
  });
  return evaluationOf(manifest, data, mainAccuracy, samples);
}

/** The evaluation of a composite by what is known of each sample of `data`. */
export function evaluationOf(
  manifest: Manifest,
  data: Dataset,
  mainAccuracy: number,
  samples: readonly ExitSample[],
): Evaluation {
  const { codec, main, branch } = manifest;
  const { accuracy, exitRate, threshold, uploadBytes } = atThreshold(samples, thresholdOf(manifest));
  const branchAccuracy = samples.filter(({ branchRight }) => branchRight).length / samples.length;
  const measured = (share: number) => ({
    accuracy: share,
    accuracyInterval: wilson(share, samples.length),
  });
  return {
    main: { ...measured(mainAccuracy), bytes: main.artifact.bytes },
    branch: { ...measured(branchAccuracy), bytes: branch.artifact.bytes },
    composite: {
      ...measured(accuracy),
      exitRate,
      exitRateInterval: wilson(exitRate, samples.length),
      threshold,
      codec: codec.kind === 'raw' ? 'raw' : `${codec.bits}-bit`,
      payloadBytes: exitRate === 1 ? 0 : uploadBytes / (1 - exitRate),
    },
    test: { data: data.name, samples: data.samples },
  };
}
