import { availableParallelism } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { TierwiseError } from '@tierwise/core';
import { type Block, reportPage } from '@tierwise/report';
import {
  type Exploration,
  type ExploredBranch,
  exploreBranches,
  findNetwork,
  recipeFor,
} from '@tierwise/train';
import { loadData } from '../data.ts';
import { writeText } from '../files.ts';
import { bytesText, percent, secondsText, type Terminal, table } from '../terminal.ts';
import { shareText } from './eval.ts';

export interface ExploreFlags {
  readonly data?: string;
  readonly output?: string;
  readonly recipe?: string;
  readonly blocks: readonly number[];
  readonly dense: readonly number[];
  readonly samples: number;
  readonly holdout: number;
  readonly epochs: number;
  readonly branchEpochs: number;
  readonly seed: number;
  readonly threads?: number;
  readonly html?: string;
}

/** `tierwise branch --explore`: short runs over depths of a branch, accuracy against size. */
export async function exploreCommand(
  target: string,
  flags: ExploreFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const network = findNetwork(target);
  if (flags.data === undefined) throw new TierwiseError('USAGE', '--explore trains, and needs --data');
  const recipe = recipeFor(network.mirror, flags.recipe);
  const data = await loadData(flags.data, network.input, terminal, signal);
  const samples = Math.min(flags.samples, data.train.samples);
  if (flags.holdout + network.training.batch > samples)
    throw new TierwiseError(
      'USAGE',
      `--holdout ${flags.holdout} leaves no batch of ${network.training.batch} among ${samples} samples`,
    );
  const folder = flags.output ?? join('runs', `explore-${target}-${basename(resolve(flags.data))}`);
  const pairs = flags.blocks.length * flags.dense.length;
  terminal.note(
    `Short runs of ${pairs} branches on ${samples.toLocaleString('en')} samples of ${data.train.name}, ${flags.holdout} of them held back; kept in ${folder}, so that the same command goes on after an interruption`,
  );
  const found = await exploreBranches({
    settings: {
      network: target,
      data: data.train.name,
      recipe,
      samples,
      holdout: flags.holdout,
      epochs: flags.epochs,
      branchEpochs: flags.branchEpochs,
      seed: flags.seed,
    },
    network,
    train: data.train,
    blocks: flags.blocks,
    dense: flags.dense,
    folder,
    threads: flags.threads ?? Math.min(4, availableParallelism()),
    signal,
    onProgress: (what, p) =>
      terminal.progress(
        p === undefined
          ? what
          : `${what}: epoch ${p.epoch}/${p.epochs}  step ${p.step}/${p.steps}  ${p.samplesPerSecond.toFixed(0)} samples/s  ${secondsText(p.secondsLeft)} left`,
      ),
  });
  const html = flags.html ?? join(folder, 'report.html');
  await writeText(html, reportPage(`Branches for ${target} on ${data.train.name}`, blocksOf(found)));
  terminal.result({ folder, ...found, warnings: data.warnings }, () =>
    [said(found), table([head, ...found.branches.map((one) => row(one, found))]), '', advice(found)].join(
      '\n',
    ),
  );
  terminal.note(`The report is in ${html}, the results in ${join(folder, 'results.json')}.`);
}

const head = ['blocks', 'dense', 'convolutions', 'bytes', 'accuracy', 'best for its size', 'trained in'];

/** No other branch is as small and better, or as good and smaller. */
function isBest(one: ExploredBranch, { branches }: Exploration): boolean {
  return !branches.some(
    (other) =>
      other !== one &&
      other.bytes <= one.bytes &&
      other.accuracy >= one.accuracy &&
      (other.bytes < one.bytes || other.accuracy > one.accuracy),
  );
}

function row(one: ExploredBranch, all: Exploration): string[] {
  return [
    `${one.blocks}`,
    `${one.dense}`,
    `${one.convolutions}`,
    bytesText(one.bytes),
    shareText(one.accuracy, one.accuracyInterval),
    isBest(one, all) ? 'yes' : '',
    secondsText(one.seconds),
  ];
}

function said({ settings, mainAccuracy }: Exploration): string {
  const { network, data, recipe, samples, holdout, epochs, branchEpochs } = settings;
  return `${network} on ${data}, ${recipe} branches: ${epochs} epochs of the main network (${percent(mainAccuracy)}), then ${branchEpochs} of each branch on it, ${(samples - holdout).toLocaleString('en')} samples; accuracies on ${holdout.toLocaleString('en')} others, in brackets the 95 % interval. Short runs rank branches, long ones are better.`;
}

/** What to make of the ranking, as far as the intervals allow. */
function advice({ branches }: Exploration): string {
  const best = branches.reduce((a, b) => (b.accuracy > a.accuracy ? b : a));
  const enough = branches
    .filter((one) => one.accuracy >= best.accuracyInterval[0])
    .reduce((a, b) => (b.bytes < a.bytes ? b : a));
  const name = ({ blocks, dense }: ExploredBranch) =>
    `${blocks} block${blocks === 1 ? '' : 's'} and ${dense} dense layer${dense === 1 ? '' : 's'}`;
  return enough === best
    ? `The best has ${name(best)} in ${bytesText(best.bytes)}; no smaller one is within its interval.`
    : `The best has ${name(best)} in ${bytesText(best.bytes)}; ${name(enough)} in ${bytesText(enough.bytes)} is within its interval.`;
}

function blocksOf(found: Exploration): Block[] {
  const { branches } = found;
  const dense = [...new Set(branches.map((one) => one.dense))].sort((a, b) => a - b);
  const series = (x: (one: ExploredBranch) => number, label: boolean) =>
    dense.slice(0, 6).map((m) => ({
      name: `${m} dense`,
      dots: label,
      points: branches
        .filter((one) => one.dense === m)
        .sort((a, b) => a.blocks - b.blocks)
        .map((one) => ({ x: x(one), y: one.accuracy, ...(label && { label: `${one.blocks}` }) })),
    }));
  const text = (share: number) => `${Number((100 * share).toPrecision(4))} %`;
  return [
    { kind: 'text', text: said(found) },
    { kind: 'text', text: advice(found) },
    {
      kind: 'lines',
      title: 'Accuracy against size; a number is that of blocks',
      x: { label: 'bytes of the branch', scale: 'log', text: (bytes) => bytesText(bytes) },
      y: { label: 'accuracy', text },
      series: series((one) => one.bytes, true),
    },
    {
      kind: 'lines',
      title: 'Accuracy over the number of blocks (LcDNN, Fig. 7)',
      x: { label: 'blocks of binary convolutions', whole: true },
      y: { label: 'accuracy', text },
      series: series((one) => one.blocks, false),
    },
    { kind: 'table', title: 'Branches', head, rows: branches.map((one) => row(one, found)) },
    { kind: 'facts', title: 'Settings', facts: { ...found.settings } },
  ];
}
