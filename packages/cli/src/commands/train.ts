import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { TierwiseError } from '@tierwise/core';
import {
  makeComposite,
  networks,
  optimizers,
  type TrainingSettings,
  train,
  writeBundle,
} from '@tierwise/train';
import { loadData } from '../data.ts';
import { percent, secondsText, type Terminal } from '../terminal.ts';
import { evaluationText } from './eval.ts';

export interface TrainFlags {
  readonly network: string;
  readonly data: string;
  readonly output: string;
  readonly epochs: number;
  readonly batch: number;
  readonly optimizer: string;
  readonly rate: number;
  readonly holdout: number;
  readonly shift: number;
  readonly flip: boolean;
  readonly seed: number;
  readonly tolerance: number;
  readonly threads?: number;
  readonly checkpointSteps: number;
  readonly resume: boolean;
}

/** `tierwise train`: from a data set to a bundle, by way of a checkpoint beside it. */
export async function trainCommand(
  flags: TrainFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const folder = bundleFolder(flags.output);
  if (!Object.hasOwn(networks, flags.network))
    throw new TierwiseError(
      'USAGE',
      `--network: there is no "${flags.network}"; there are ${Object.keys(networks).join(', ')}`,
    );
  if (!Object.hasOwn(optimizers, flags.optimizer))
    throw new TierwiseError(
      'USAGE',
      `--optimizer: there is no "${flags.optimizer}"; there are ${Object.keys(optimizers).join(', ')}`,
    );
  const size = networks[flags.network]!.input;
  const data = await loadData(flags.data, size, terminal, signal);
  const { channels, height, width } = size;
  if (data.train.channels !== channels || data.train.height !== height || data.train.width !== width)
    throw new TierwiseError(
      'USAGE',
      `${flags.network} takes pictures of ${width} x ${height} x ${channels}, ${flags.data} has ${data.train.width} x ${data.train.height} x ${data.train.channels}`,
    );
  if (flags.holdout + flags.batch > data.train.samples)
    throw new TierwiseError(
      'USAGE',
      `--holdout ${flags.holdout} leaves no batch of ${flags.batch} among ${data.train.samples} samples`,
    );
  const settings: TrainingSettings = {
    network: flags.network,
    data: data.train.name,
    samples: data.train.samples,
    holdout: flags.holdout,
    epochs: flags.epochs,
    batch: flags.batch,
    optimizer: flags.optimizer,
    peakRate: flags.rate,
    warmup: 200,
    weightDecay: 1e-4,
    shift: flags.shift,
    flip: flags.flip,
    seed: flags.seed,
  };
  const checkpoint = `${folder}.checkpoint.safetensors`;
  const threads = flags.threads ?? Math.min(4, availableParallelism());
  terminal.note(
    `Training ${flags.network} on ${data.train.samples.toLocaleString('en')} samples of ${data.train.name}, ${flags.holdout} of them held back; checkpoint ${checkpoint}`,
  );
  let epoch = 1;
  let lastLine = '';
  const { weights, history } = await train({
    settings,
    data: data.train,
    threads,
    checkpoint,
    checkpointSteps: flags.checkpointSteps,
    resume: flags.resume,
    signal,
    onProgress(p) {
      if (p.epoch !== epoch) {
        terminal.note(lastLine);
        epoch = p.epoch;
      }
      lastLine =
        `epoch ${p.epoch}/${p.epochs}  step ${p.step}/${p.steps}  loss ${p.lossMain.toFixed(4)} main, ${p.lossBranch.toFixed(4)} branch` +
        `  accuracy ${percent(p.accuracyMain)}, ${percent(p.accuracyBranch)}  ${p.samplesPerSecond.toFixed(0)} samples/s`;
      terminal.progress(`${lastLine}  ${secondsText(p.secondsLeft)} left`);
    },
  });
  terminal.note(lastLine);
  const made = await makeComposite({
    name: basename(folder, '.tierwise'),
    settings,
    weights,
    train: data.train,
    test: data.test,
    tolerance: flags.tolerance,
    threads,
    signal,
    onProgress: (stage, p) =>
      terminal.progress(`measuring on the ${stage} samples: ${p.done} of ${p.samples}`),
  });
  await writeBundle(folder, made);
  terminal.result(
    { bundle: folder, ...made.evaluation, history, warnings: data.warnings },
    () => `${evaluationText(made.evaluation)}\nWritten to ${folder}`,
  );
}

/** @throws TierwiseError USAGE unless the name ends in .tierwise and can be a model's name */
function bundleFolder(output: string): string {
  const folder = output.replace(/\/+$/, '');
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\.tierwise$/.test(basename(folder)))
    throw new TierwiseError(
      'USAGE',
      `--output must be a folder named like lenet.tierwise (letters, digits, ".", "_", "-"), not "${output}"`,
    );
  return folder;
}
