import { type ModelSummary, TierwiseError } from '@tierwise/core';
import { readBundle } from '@tierwise/edge';
import { extract, readOnnx, summarize } from '@tierwise/graph';
import type { CodecPolicy } from '@tierwise/plan';
import { type Block, reportPage } from '@tierwise/report';
import {
  comparePlaces,
  exportComposite,
  findNetwork,
  imagenetGraphs,
  type Placement,
  type PlacementOptions,
  ports,
  untrainedWeights,
  visitSamples,
} from '@tierwise/train';
import { type Command, Option } from 'commander';
import { dataHelp } from '../data.ts';
import { readModel, writeText } from '../files.ts';
import { handle, untilCtrlC } from '../handle.ts';
import { linkContext, linkNames } from '../link.ts';
import { bytesText, percent, type Terminal, table } from '../terminal.ts';
import { recipeHelp } from '../training.ts';
import { collect, real, whole, wholes } from '../values.ts';
import { type ExploreFlags, exploreCommand } from './explore.ts';

interface PlaceFlags {
  readonly link: readonly string[];
  readonly exitRate?: number;
  readonly deviceGflops: number;
  readonly edgeGflops: number;
  readonly binarySpeedup: number;
  readonly html?: string;
}

/** Where nothing is measured: what a branch after the first stage reaches on CIFAR-10 in LcDNN's Table 1, about. */
const assumedExitRate = 0.75;
const defaultLinks = ['fast-4g', 'wifi-dads'];

/** What there is to place a branch in. */
interface Target {
  readonly summary: ModelSummary;
  readonly codec: CodecPolicy;
  readonly exitRate?: number | undefined;
  readonly known?: PlacementOptions['known'];
}

/** `tierwise branch --place`: what a branch would cost at each place of a network, so that one sees where it belongs. */
async function placeCommand(target: string, flags: PlaceFlags, terminal: Terminal): Promise<void> {
  const { summary, codec, known, exitRate: measured } = await openTarget(target);
  const exitRate = flags.exitRate ?? measured ?? assumedExitRate;
  const source =
    flags.exitRate !== undefined ? 'as you say' : measured !== undefined ? 'as measured' : 'assumed';
  const links = flags.link.length > 0 ? flags.link : defaultLinks;
  const options: PlacementOptions = {
    deviceFlopsPerSecond: flags.deviceGflops * 1e9,
    edgeFlopsPerSecond: flags.edgeGflops * 1e9,
    binarySpeedup: flags.binarySpeedup,
    exitRate,
    codec,
    known,
  };
  const compared = links.map((link) => {
    const placement = comparePlaces(summary, options, linkContext(link));
    return { link, ...placement, verdict: verdict(link, placement, exitRate) };
  });
  const assumptions = `${target}: exit rate ${percent(exitRate)} ${source}, the same at every place; the tensor at the cut in ${codec.kind === 'raw' ? 'float32' : `${codec.bits} bits`}; ${flags.deviceGflops} GFLOP/s on the device, ${flags.binarySpeedup} times that in binary layers, ${flags.edgeGflops} on the edge. Times are expected, not measured. A branch mirrors the layers that follow; real layers before it are fetched in float16.`;
  if (flags.html !== undefined)
    await writeText(flags.html, reportPage(`Place of a branch in ${target}`, blocks(assumptions, compared)));
  terminal.result({ target, exitRate: { share: exitRate, source }, visitSamples, links: compared }, () =>
    [
      assumptions,
      ...compared.flatMap((one) => [
        '',
        `On ${one.link}:`,
        table(placeRows(one)),
        '',
        ...(one.second.length > 0 ? [secondTitle, table(secondRows(one))] : []),
        '',
        one.verdict,
      ]),
    ].join('\n'),
  );
  if (flags.html !== undefined) terminal.note(`The report is in ${flags.html}.`);
}

async function openTarget(target: string): Promise<Target> {
  if (/\.tierwise\/?$/.test(target)) {
    const { manifest, artifacts } = await readBundle(target);
    const main = artifacts.find(({ artifact }) => artifact === manifest.main.artifact)!;
    const model = readOnnx(main.bytes, manifest.main.artifact.file);
    return {
      summary: summarize(
        extract(model, { inputs: [manifest.input.tensor], outputs: [manifest.main.scores.tensor] }),
      ),
      codec: manifest.codec,
      exitRate: manifest.measured?.exitRate,
      known: { tensor: manifest.stem.tensor, branchBytes: manifest.branch.artifact.bytes },
    };
  }
  const codec = { kind: 'packed', bits: 4, lo: 0, hi: 1 } as const;
  if (target.endsWith('.onnx')) return { summary: summarize((await readModel(target)).model), codec };
  if (Object.hasOwn(imagenetGraphs, target)) return { summary: summarize(imagenetGraphs[target]!()), codec };
  const network = findNetwork(target);
  const classes = 10;
  const { model } = exportComposite(network, untrainedWeights(network, classes, 1), classes, {
    smallEnds: true,
  });
  return { summary: summarize(extract(model, { inputs: [ports.input], outputs: [ports.main] })), codec };
}

const placeHead = [
  'branch leaves after',
  'shape',
  'layers on the device',
  'first download',
  'device ms',
  'bytes up',
  'cold ms',
  'warm ms',
  `ms of ${visitSamples}`,
  'exits needed',
];
const secondTitle =
  'A second branch besides the first one, with the same exit rate among the samples that reach it:';
const ms = (value: number) => value.toFixed(value < 100 ? 1 : 0);
const needed = (share: number | undefined) =>
  share === undefined ? 'never' : share === 0 ? 'none' : percent(share);

function placeRows({ places, sendPicture, wholeOnDevice }: Placement): string[][] {
  const layers = (place: Placement['places'][number]['place']) =>
    `${place.layersBefore} of ${place.layersBefore + place.layersAfter}`;
  return [
    placeHead,
    ...places.map(({ place, downloadBytes, deviceMs, uplinkBytes, latency, neededExitRate }) => [
      place.tensor,
      place.dims.join('x'),
      layers(place),
      bytesText(downloadBytes),
      ms(deviceMs),
      bytesText(uplinkBytes),
      ms(latency.coldMs),
      ms(latency.warmMs),
      ms(latency.amortizedMs),
      needed(neededExitRate),
    ]),
    ...(
      [
        ['(no branch: send the picture)', sendPicture],
        ['(no branch: all on the device)', wholeOnDevice],
      ] as const
    ).map(([name, latency]) => [
      name,
      '',
      '',
      '',
      '',
      '',
      ms(latency.coldMs),
      ms(latency.warmMs),
      ms(latency.amortizedMs),
      '',
    ]),
  ];
}

function secondRows({ second }: Placement): string[][] {
  return [
    [
      'second branch after',
      'cold ms',
      'warm ms',
      `ms of ${visitSamples}`,
      'exits needed of those that reach it',
    ],
    ...second.map(({ place, latency, neededExitRate }) => [
      place.tensor,
      ms(latency.coldMs),
      ms(latency.warmMs),
      ms(latency.amortizedMs),
      needed(neededExitRate),
    ]),
  ];
}

/** One sentence on where the branch belongs on this link, and one on a second branch. */
function verdict(
  link: string,
  { places, second, sendPicture, wholeOnDevice }: Placement,
  exitRate: number,
): string {
  const [first] = places;
  const best = places.reduce((a, b) => (b.latency.amortizedMs < a.latency.amortizedMs ? b : a));
  const said: string[] = [];
  const least = best.latency.amortizedMs;
  if (sendPicture.amortizedMs < least)
    said.push(
      `On ${link} no branch makes answers faster: sending the picture takes ${ms(sendPicture.amortizedMs)} ms, the best place ${ms(least)}. A branch still keeps ${percent(exitRate)} of the requests from the server and works offline.`,
    );
  else if (wholeOnDevice.amortizedMs < least)
    said.push(
      `On ${link} the whole network on the device is the fastest after its download: ${ms(wholeOnDevice.amortizedMs)} ms, but ${ms(wholeOnDevice.coldMs)} for the first answer.`,
    );
  else if (best === first)
    said.push(
      `On ${link} one branch after "${first.place.tensor}" is the fastest place, ${ms(least)} ms; a later one fetches more and would have to let more samples exit.`,
    );
  else
    said.push(
      `On ${link} a branch after "${best.place.tensor}" is faster than after "${first!.place.tensor}" at the same exit rate: ${ms(least)} against ${ms(first!.latency.amortizedMs)} ms; its first answer takes ${ms(best.latency.coldMs)} against ${ms(first!.latency.coldMs)} ms.`,
    );
  const worth = second.filter((one) => one.neededExitRate !== undefined);
  if (second.length > 0)
    said.push(
      worth.length === 0
        ? 'A second branch is never worth its download here.'
        : `A second branch pays where at least ${percent(Math.min(...worth.map((one) => one.neededExitRate!)))} of the samples that the first one is unsure of exit at it; those are the hard ones.`,
    );
  return said.join(' ');
}

function blocks(
  assumptions: string,
  compared: readonly (Placement & { link: string; verdict: string })[],
): Block[] {
  return [
    { kind: 'text', text: assumptions },
    ...compared.flatMap((one): Block[] => [
      { kind: 'table', title: `Places on ${one.link}`, head: placeHead, rows: placeRows(one).slice(1) },
      { kind: 'text', text: one.verdict },
      {
        kind: 'bars',
        title: `${one.link}: expected ms, mean of ${visitSamples}`,
        bars: [
          ...one.places.map(({ place, latency }) => ({
            label: `${place.layersBefore} on device`,
            value: latency.amortizedMs,
          })),
          { label: 'send picture', value: one.sendPicture.amortizedMs },
          { label: 'all on device', value: one.wholeOnDevice.amortizedMs },
        ],
      },
      {
        kind: 'bars',
        title: `${one.link}: first answer, ms`,
        bars: [
          ...one.places.map(({ place, latency }) => ({
            label: `${place.layersBefore} on device`,
            value: latency.coldMs,
          })),
          { label: 'send picture', value: one.sendPicture.coldMs },
          { label: 'all on device', value: one.wholeOnDevice.coldMs },
        ],
      },
    ]),
  ];
}

/** Adds `tierwise branch` and its options. */
export function addBranch(program: Command): void {
  program
    .command('branch')
    .description('where a branch belongs in a network (--place), or how deep it should be (--explore)')
    .argument('<target>', 'NAME.tierwise, FILE.onnx or the name of a network; --explore takes a name')
    .option('--place', 'what a branch costs at each place, from expected times; nothing is trained (default)')
    .option('--explore', 'train small branches of several depths, and show accuracy against size')
    .optionsGroup('For --place:')
    .addOption(
      new Option('--link <name>', `one of: ${linkNames.join(', ')}; may be repeated`)
        .argParser(collect)
        .default([], 'fast-4g and wifi-dads'),
    )
    .option('--exit-rate <share>', 'of samples at a branch; default: as measured, else 0.75', real(0, 1))
    .option('--device-gflops <x>', 'speed of the device, multiply and add counted apart', real(0.001, 1e6), 2)
    .option('--edge-gflops <x>', 'speed of the edge', real(0.001, 1e6), 20)
    .option('--binary-speedup <x>', 'of the device in binary layers', real(1, 1000), 14)
    .optionsGroup('For --explore:')
    .option('--data <name|folder>', dataHelp)
    .option('-o, --output <folder>', 'checkpoints and results (default: runs/explore-NETWORK-DATA)')
    .addOption(
      new Option('--blocks <list>', 'numbers of blocks of binary convolutions')
        .argParser(wholes(1))
        .default([1, 2, 3], '1,2,3'),
    )
    .addOption(
      new Option('--dense <list>', 'numbers of binary dense layers')
        .argParser(wholes(0))
        .default([0, 1, 2], '0,1,2'),
    )
    .option('--recipe <name>', recipeHelp)
    .option('--samples <n>', 'training samples that are used at most', whole(1), 10_000)
    .option('--holdout <n>', 'of them held back to measure', whole(1), 2000)
    .option('--epochs <n>', 'of the main network', whole(1), 2)
    .option('--branch-epochs <n>', 'of each branch', whole(1), 2)
    .option('--seed <n>', 'of every random choice', whole(0), 1)
    .option('--threads <n>', 'default: one per core, at most 4', whole(1))
    .optionsGroup('For both:')
    .option('--html <file>', 'write a report with charts (default with --explore: report.html in its folder)')
    .option('--json', 'print one JSON object')
    .action(
      handle(
        (
          terminal,
          target: string,
          flags: PlaceFlags & ExploreFlags & { place?: boolean; explore?: boolean },
        ) => {
          if (flags.place && flags.explore)
            throw new TierwiseError('USAGE', '--place and --explore are two commands: give one of them');
          return flags.explore
            ? exploreCommand(target, flags, terminal, untilCtrlC())
            : placeCommand(target, flags, terminal);
        },
      ),
    );
}
