import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ModelProto, summarize } from '@tierwise/graph';
import { type Manifest, parseManifest, type StrategyName, strategies } from '@tierwise/plan';
import {
  branchPlaces,
  comparePlaces,
  exportMain,
  findNetwork,
  imagenetGraphs,
  untrainedWeights,
} from '@tierwise/train';
import { chooseCases } from './cases.ts';
import { machineConditions } from './conditions.ts';
import { digitsBundle } from './digits.ts';
import { assumed } from './edge-questions.ts';
import { type BenchOptions, raceOptions } from './options.ts';
import { type Contestant, race } from './pages/race.ts';
import type { BenchResult, BenchRow } from './result.ts';
import { median, significant } from './statistics.ts';

/** Networks by name, from small to large. */
export const planCases = ['lenet', 'resnet18', 'resnet18-224', 'mobilenet-v2-224'].map((name) => ({ name }));

const caseMs = 4000;

const { profile, context, requirement } = assumed;

/**
 * `tierwise bench plan`: how long a Plan takes, and a comparison of all places for a branch, against reading what they
 * are made of: `JSON.parse` of the manifest, and of the network's summary.
 */
export async function benchPlan(options: BenchOptions): Promise<BenchResult> {
  const rows: BenchRow[] = [];
  for (const { name } of chooseCases(planCases, options.cases)) {
    options.signal.throwIfAborted();
    options.onProgress(name);
    rows.push(await benchCase(name, options));
  }
  return {
    bench: 'plan',
    conditions: {
      ...machineConditions(),
      node: process.version,
      threads: 1,
      runs: 'contestants in turn, medians; microseconds of one call',
      plan: 'a Plan of each strategy from a checked manifest',
      places: 'what a branch costs at each place of the network (tierwise branch), from its summary',
      bound:
        'reading the input once: JSON.parse of the manifest for Plans, of the summary for places; the numerator of every ...OfReading',
    },
    rows,
  };
}

async function benchCase(name: string, options: BenchOptions): Promise<BenchRow> {
  const graph = graphOf(name);
  const summary = summarize(graph);
  const places = branchPlaces(summary);
  const manifest = await manifestFor(name, summary, places[0]!);
  const texts = { manifest: JSON.stringify(manifest), summary: JSON.stringify(summary) };
  const placement = { ...profile, binarySpeedup: 8, codec: manifest.codec };
  // What is made is kept: the compiler leaves out work whose result nobody could see.
  const made: Record<string, unknown> = {};
  const contestant = (named: string, make: () => unknown): Contestant => ({
    name: named,
    run: () => {
      made[named] = make();
    },
  });
  const times = await race(
    [
      ...Object.entries(strategies).map(([strategy, make]) =>
        contestant(strategy, () => make(manifest, profile, context, requirement)),
      ),
      contestant('places', () => comparePlaces(summary, placement, context)),
      contestant('readManifest', () => JSON.parse(texts.manifest)),
      contestant('readSummary', () => JSON.parse(texts.summary)),
    ],
    raceOptions(options, caseMs),
  );
  const us = (named: string) => 1000 * median(times[named]!);
  const metrics: Record<string, number> = { nodes: summary.nodes.length, places: places.length };
  for (const strategy of Object.keys(strategies) as StrategyName[]) {
    metrics[`${strategy}Us`] = us(strategy);
    metrics[`${strategy}OfReading`] = us('readManifest') / us(strategy);
  }
  metrics['placesUs'] = us('places');
  metrics['placesOfReading'] = us('readSummary') / us('places');
  return {
    case: name,
    metrics: Object.fromEntries(Object.entries(metrics).map(([key, value]) => [key, significant(value)])),
  };
}

function graphOf(name: string): ModelProto {
  const large = imagenetGraphs[name];
  if (large !== undefined) return large();
  const network = findNetwork(name);
  return exportMain(network, untrainedWeights(network, 10, 1), 10).model;
}

/** The committed manifest with the sizes of another network. */
async function manifestFor(
  name: string,
  { inputs, outputs, totals }: ReturnType<typeof summarize>,
  { tensor, dims, headFlops, binaryFlops, restFlops }: ReturnType<typeof branchPlaces>[number],
): Promise<Manifest> {
  const known = JSON.parse(await readFile(join(digitsBundle, 'manifest.json'), 'utf8'));
  const classes = outputs[0]!.dims.at(-1)!;
  const [, channels, height, width] = inputs[0]!.dims;
  return parseManifest(
    {
      ...known,
      name,
      labels: Array.from({ length: classes }, (_, i) => `class ${i}`),
      preprocess: { ...known.preprocess, channels, height, width },
      input: { tensor: inputs[0]!.name, dims: [1, channels, height, width] },
      stem: { tensor, dims: [1, ...dims] },
      branch: { ...known.branch, scores: { tensor: 'branch_scores', dims: [1, classes] } },
      main: { ...known.main, scores: { tensor: outputs[0]!.name, dims: [1, classes] } },
      flops: { stem: headFlops, branch: Math.round(binaryFlops), rest: restFlops },
      provenance: { totals },
    },
    name,
  );
}
