import type { Dataset } from '@tierwise/data';
import { writeOnnx } from '@tierwise/graph';
import { type Interval, wilson } from '../design/interval.ts';
import { writeFileWhole } from '../files.ts';
import type { Weights } from '../layers/inference.ts';
import { findNetwork } from '../networks/index.ts';
import { backboneOf } from '../training/phases.ts';
import type { TrainingSettings } from '../training/settings.ts';
import { sharesRight } from '../training/validate.ts';

/** A network without a branch on test samples: the share that is right, with its 95 % interval; bytes are those of its file. */
export interface NetworkEvaluation {
  readonly main: { readonly accuracy: number; readonly accuracyInterval: Interval; readonly bytes: number };
  readonly test: { readonly data: string; readonly samples: number };
}

/**
 * Writes stem and main network of a training as one ONNX file, which `attach` takes: input `pixels` float32 [N, c, h, w],
 * whole numbers 0..255; output `scores` [N, classes]. Gives what it does on all of `test`.
 * @throws TierwiseError FILE_UNREADABLE naming the file, which is written whole or not at all
 */
export async function writeNetwork(
  file: string,
  { settings, weights, test, threads }: NetworkOptions,
): Promise<NetworkEvaluation> {
  const { model, ports, preprocess } = backboneOf(
    findNetwork(settings.network),
    weights,
    test.classes.length,
  );
  const deployed = { model, input: ports.input, preprocess, heads: { main: ports.scores } };
  const samples = Uint32Array.from({ length: test.samples }, (_, i) => i);
  const { main: accuracy = 0 } = await sharesRight(deployed, test, samples, threads);
  const bytes = writeOnnx(model);
  await writeFileWhole(file, bytes);
  return {
    main: { accuracy, accuracyInterval: wilson(accuracy, test.samples), bytes: bytes.length },
    test: { data: test.name, samples: test.samples },
  };
}

/** What a network's file is made of. */
export interface NetworkOptions {
  readonly settings: Pick<TrainingSettings, 'network'>;
  /** As `train` gave them. */
  readonly weights: Weights;
  readonly test: Dataset;
  readonly threads: number;
}
