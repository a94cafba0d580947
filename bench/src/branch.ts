import { callPage, openPage, startBrowser } from './browser.ts';
import { chooseCases } from './cases.ts';
import { commonConditions } from './conditions.ts';
import { type BenchOptions, raceOptions } from './options.ts';
import type { BranchInput } from './pages/branch.ts';
import type { RaceTimes } from './pages/race.ts';
import type { BenchResult, BenchRow } from './result.ts';
import { buildPage, serveSite } from './site.ts';
import { median, significant } from './statistics.ts';
import { openSubject } from './subjects.ts';

/** Networks by name; all but LeNet have untrained weights. */
export const branchCases = ['lenet', 'alexnet', 'resnet18', 'vgg16'].map((name) => ({ name }));

/** How long a network is raced. */
const caseMs = 10_000;

/** `tierwise bench branch`: a whole branch of ours, stem to scores, against the whole network in onnxruntime-web. */
export async function benchBranch(options: BenchOptions): Promise<BenchResult> {
  const { onProgress } = options;
  const cases = chooseCases(branchCases, options.cases);
  onProgress('building the page');
  const page = await buildPage('branch');
  await using browser = await startBrowser(options.chromePath, options.signal);
  const rows: BenchRow[] = [];
  let rounds = Number.POSITIVE_INFINITY;
  for (const { name } of cases) {
    onProgress(`${name} (${rows.length + 1} of ${cases.length}): making the network`);
    const { branch, fp32, int8, manifest } = await openSubject(name);
    const files = new Map(page);
    files.set(`${name}/branch.safetensors`, branch);
    files.set(`${name}/fp32.onnx`, fp32);
    files.set(`${name}/int8.onnx`, int8);
    await using site = await serveSite(files, { compress: false });
    await using fresh = await openPage(browser);
    onProgress(`${name} (${rows.length + 1} of ${cases.length})`);
    const times = await callPage<BranchInput, RaceTimes>(
      fresh.page,
      `http://127.0.0.1:${site.port}/branch.html`,
      {
        name,
        dims: manifest.input.dims,
        output: manifest.branch.scores.tensor,
        race: raceOptions(options, caseMs),
      },
    );
    rounds = Math.min(rounds, times['ortWeb']!.length);
    rows.push({ case: name, metrics: metricsOf(times) });
  }
  return {
    bench: 'branch',
    conditions: {
      ...commonConditions(browser),
      thread: 'main thread of one page for each network',
      runs: `contestants in turn, ${rounds} samples or more of each; medians, ...Best the best of them`,
      ours: 'the branch with its stem; bare names are what the engine comes to use, relaxed SIMD where it is faster; plain... without it',
      rivals:
        'onnxruntime-web runs the whole network, batch norms folded, in float32 and in 8 bits (QDQ, weights by channel)',
      weights: 'LeNet trained, the others untrained',
    },
    rows,
  };
}

function metricsOf(times: RaceTimes): Record<string, number> {
  const metrics: Record<string, number> = {};
  for (const [suffix, pick] of [
    ['', median],
    ['Best', (values: readonly number[]) => Math.min(...values)],
  ] as const) {
    const ms = (name: string) => pick(times[name] ?? []);
    const plain = ms('simd');
    const own = 'relaxed' in times ? Math.min(plain, ms('relaxed')) : plain;
    const values = {
      ms: own,
      plainMs: plain,
      ortWebMs: ms('ortWeb'),
      ortWebInt8Ms: ms('ortWebInt8'),
      vsOrtWeb: ms('ortWeb') / own,
      vsOrtWebInt8: ms('ortWebInt8') / own,
      plainVsOrtWeb: ms('ortWeb') / plain,
      plainVsOrtWebInt8: ms('ortWebInt8') / plain,
    };
    for (const [name, value] of Object.entries(values)) metrics[`${name}${suffix}`] = significant(value);
  }
  return metrics;
}
