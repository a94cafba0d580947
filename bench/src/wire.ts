import { random } from '@tierwise/core';
import { callPage, openPage, startBrowser } from './browser.ts';
import { chooseCases } from './cases.ts';
import { commonConditions } from './conditions.ts';
import { openDigits } from './digits.ts';
import { type BenchOptions, raceOptions } from './options.ts';
import type { Packing } from './pages/codecs.ts';
import type { WireInput, WireOutput } from './pages/wire.ts';
import type { BenchResult, BenchRow } from './result.ts';
import { buildPage, serveSite } from './site.ts';
import { median, significant } from './statistics.ts';

/** Tensors at the cut: of LeNet, and of the size that a ResNet-18 for 32 x 32 pictures has. */
export const wireCases = [{ name: 'lenet' }, { name: 'resnet' }] as const;

/** How long a case is raced, once to pack and once to unpack. */
const caseMs = 8000;
const digitCount = 16;

/** `tierwise bench wire`: packing and unpacking of tensors in a page, against what a page has without us and a copy. */
export async function benchWire(options: BenchOptions): Promise<BenchResult> {
  const { signal, onProgress } = options;
  const cases = chooseCases(wireCases, options.cases);
  onProgress('building the page');
  const digits = await openDigits(digitCount, signal);
  const stems = { lenet: lenetStems(digits), resnet: smoothMaps() };
  const files = new Map(await buildPage('wire'));
  for (const { name } of cases) files.set(`${name}.bin`, new Uint8Array(stems[name].values.buffer));
  await using site = await serveSite(files, { compress: false });
  await using browser = await startBrowser(options.chromePath, signal);
  await using fresh = await openPage(browser);
  const rows: BenchRow[] = [];
  for (const { name } of cases) {
    onProgress(`${name} (${cases.findIndex((one) => one.name === name) + 1} of ${cases.length})`);
    const { dims, lo, hi, values } = stems[name];
    const found = await callPage<WireInput, WireOutput>(
      fresh.page,
      `http://127.0.0.1:${site.port}/wire.html`,
      { name, dims, lo, hi, race: raceOptions(options, caseMs) },
    );
    rows.push(...rowsOf(name, values.byteLength / 1e6, found));
  }
  const { 'onnxruntime-web': _, tfjs: __, ...conditions } = commonConditions(browser);
  return {
    bench: 'wire',
    conditions: {
      ...conditions,
      thread: 'main thread of one page',
      lenet: `${digitCount} stem outputs of 20 x 12 x 12 (lenet-mnist): ${digits.source}`,
      resnet: 'one map of 64 x 32 x 32, as a ResNet-18 cuts: smooth random blobs behind a ReLU',
      runs: 'contestants in turn; MB are of float32 put in or given out, medians',
      deflate: 'CompressionStream deflate-raw of the codes in 8 bits, the only packer that every page has',
      bound: 'copy: of the float32 tensor into new memory, the denominator of every ...OfCopy',
    },
    rows,
  };
}

function rowsOf(name: string, megabytes: number, { bytes, packMs, unpackMs }: WireOutput): BenchRow[] {
  return Object.keys(bytes).map((codec) => {
    const perSecond = (times: WireOutput['packMs'], of: string) => (1000 * megabytes) / median(times[of]!);
    const versus = (other: string, times: WireOutput['packMs']) =>
      perSecond(times, codec) / perSecond(times, other);
    const metrics = {
      bytes: bytes[codec]!,
      packMbPerSecond: perSecond(packMs, codec),
      unpackMbPerSecond: perSecond(unpackMs, codec),
      packOfCopy: versus('copy', packMs),
      unpackOfCopy: versus('copy', unpackMs),
      packVsDeflate: versus('deflate', packMs),
      unpackVsDeflate: versus('deflate', unpackMs),
      packVsJson: versus('json', packMs),
      unpackVsJson: versus('json', unpackMs),
    };
    return {
      case: `${name} ${codec}`,
      metrics: Object.fromEntries(Object.entries(metrics).map(([key, value]) => [key, significant(value)])),
    };
  });
}

interface Stems extends Packing {
  /** One tensor after the other. */
  readonly values: Float32Array<ArrayBuffer>;
}

function lenetStems({ manifest, stems }: Awaited<ReturnType<typeof openDigits>>): Stems {
  const { codec, stem } = manifest;
  const { lo, hi } = codec.kind === 'packed' ? codec : { lo: 0, hi: 1 };
  return { dims: stem.dims, lo, hi, values: Float32Array.from(stems.flatMap(({ data }) => [...data])) };
}

/** Feature maps are smooth, and zero where nothing was found: sums of waves of random direction, less some. */
function smoothMaps(): Stems {
  const dims = [1, 64, 32, 32];
  const draw = random(5);
  const values = new Float32Array(64 * 32 * 32);
  for (let c = 0; c < 64; c++) {
    const waves = Array.from(
      { length: 4 },
      () => [draw.normal() / 4, draw.normal() / 4, draw.uniform() * 7] as const,
    );
    for (let at = 0; at < 1024; at++) {
      const [x, y] = [at % 32, at >> 5];
      const sum = waves.reduce((total, [u, v, phase]) => total + Math.sin(u * x + v * y + phase), 0);
      values[c * 1024 + at] = Math.max(0, sum - 0.5 + 0.05 * draw.normal());
    }
  }
  return { dims, lo: 0, hi: 3.5, values };
}
