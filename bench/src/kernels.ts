import { compileBound } from './bound.ts';
import { callPage, openPage, startBrowser } from './browser.ts';
import { chooseCases } from './cases.ts';
import { commonConditions } from './conditions.ts';
import { boundMacs, type LayerCase, layerCases, layerOnnx, layerProgram, macsOf } from './layers.ts';
import { type BenchOptions, raceOptions } from './options.ts';
import type { KernelsInput } from './pages/kernels.ts';
import type { RaceTimes } from './pages/race.ts';
import type { BenchResult, BenchRow } from './result.ts';
import { buildPage, serveSite } from './site.ts';
import { median, significant } from './statistics.ts';

/** How long a case is raced; six of them, building and starting stay below a minute. */
const caseMs = 4500;

/**
 * `tierwise bench kernels`: single layers of ours against the same layers in float32, and against what the machine
 * can do at all. Plain SIMD has the bare names; `best...` is relaxed SIMD where the browser has it.
 */
export async function benchKernels(options: BenchOptions): Promise<BenchResult> {
  const { signal, onProgress } = options;
  const cases = chooseCases(layerCases, options.cases);
  onProgress('building the page');
  const files = new Map(await buildPage('kernels'));
  files.set('bound.wasm', await compileBound());
  for (const layer of cases) {
    files.set(`${layer.name}.safetensors`, layerProgram(layer));
    files.set(`${layer.name}.onnx`, layerOnnx(layer));
  }
  await using site = await serveSite(files, { compress: false });
  await using browser = await startBrowser(options.chromePath, signal);
  await using fresh = await openPage(browser);
  const rows: BenchRow[] = [];
  let rounds = Number.POSITIVE_INFINITY;
  for (const layer of cases) {
    onProgress(`${layer.name} (${rows.length + 1} of ${cases.length})`);
    const times = await callPage<KernelsInput, RaceTimes>(
      fresh.page,
      `http://127.0.0.1:${site.port}/kernels.html`,
      { layer, race: raceOptions(options, caseMs) },
    );
    rounds = Math.min(rounds, times['bound']!.length);
    rows.push({ case: layer.name, metrics: metricsOf(layer, times) });
  }
  return {
    bench: 'kernels',
    conditions: {
      ...commonConditions(browser),
      thread: 'main thread of one page',
      runs: `contestants in turn, ${rounds} samples or more of each; bare names are the best of them, ...Median their median`,
      ours: 'the kernel of the layer with its epilogue; best... with relaxed SIMD, else plain SIMD',
      rivals: 'float32 through their own API, one operator: Conv or Gemm, conv2d or matMul',
      bound:
        'xor, i8x16.popcnt, i8x16.add with operands in registers, in the same page; the denominator of every ofBound',
    },
    rows,
  };
}

function metricsOf(layer: LayerCase, times: RaceTimes): Record<string, number> {
  const metrics: Record<string, number> = {};
  for (const [suffix, pick] of [
    ['', (values: readonly number[]) => Math.min(...values)],
    ['Median', median],
  ] as const) {
    const ms = (name: string) => pick(times[name] ?? []);
    const bound = boundMacs / ms('bound');
    const compare = (prefix: string, own: number) => {
      const name = (bare: string) =>
        `${prefix === '' ? bare : `${prefix}${bare[0]!.toUpperCase()}${bare.slice(1)}`}${suffix}`;
      metrics[name('gmacPerSecond')] = significant(macsOf(layer) / own / 1e6);
      metrics[name('ofBound')] = significant(macsOf(layer) / own / bound);
      metrics[name('vsOrtWeb')] = significant(ms('ortWeb') / own);
      metrics[name('vsTfjs')] = significant(ms('tfjs') / own);
    };
    const plain = ms('simd');
    compare('', plain);
    compare('best', 'relaxed' in times ? Math.min(plain, ms('relaxed')) : plain);
    metrics[`boundGmacPerSecond${suffix}`] = significant(bound / 1e6);
    metrics[`ortWebMs${suffix}`] = significant(ms('ortWeb'));
    metrics[`tfjsMs${suffix}`] = significant(ms('tfjs'));
  }
  return metrics;
}
