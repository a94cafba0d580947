import { createRelay, type LinkProfileName, linkProfiles } from '@tierwise/relay';
import type { Browser } from 'playwright-core';
import { failingWith, openPage, startBrowser } from './browser.ts';
import { chooseCases } from './cases.ts';
import { commonConditions } from './conditions.ts';
import type { BenchOptions } from './options.ts';
import type { BenchResult, BenchRow } from './result.ts';
import { buildPage, type Site, type SiteFiles, serveSite, withPreloads } from './site.ts';
import { type Slowdown, slowDown } from './slowdown.ts';
import { mean, significant } from './statistics.ts';
import { openSubject, type Subject } from './subjects.ts';

interface FirstAnswerCase {
  readonly name: string;
  readonly network: string;
  readonly link: LinkProfileName;
}

export const firstAnswerCases: readonly FirstAnswerCase[] = [
  { name: 'lenet@fast-4g', network: 'lenet', link: 'fast-4g' },
  { name: 'lenet@slow-4g', network: 'lenet', link: 'slow-4g' },
  { name: 'resnet18@fast-4g', network: 'resnet18', link: 'fast-4g' },
];

const cpuFactor = 4;
/** Longer than anything here takes: 47 MB over fast 4G are a minute. */
const timeoutMs = 300_000;

/** One way to classify the picture: its page, and the files that are its network. */
export interface Contestant {
  readonly name: 'ours' | 'inWorker' | 'ortWeb' | 'ortWebInt8' | 'tfjs';
  readonly page: string;
  readonly model: ReadonlyMap<string, Uint8Array>;
}

/** What one visit took, and the class that it gave. */
export interface Visit {
  readonly ms: number;
  readonly bytes: number;
  readonly answer: number;
}

/**
 * `tierwise bench first-answer`: from the start of the navigation, with nothing cached, to the first answer on the
 * page, over a link as phones have it and with a CPU as phones have it.
 */
export async function benchFirstAnswer(options: BenchOptions): Promise<BenchResult> {
  const { onProgress, signal, runs = 5 } = options;
  const cases = chooseCases(firstAnswerCases, options.cases);
  await using browser = await startBrowser(options.chromePath, signal);
  onProgress('calibrating the slowed CPU');
  const slowdown = await slowDown(browser, cpuFactor);
  const rows: BenchRow[] = [];
  try {
    for (const one of cases) {
      onProgress(`${one.name}: making the network and the pages`);
      const visits = await visitAll(browser, slowdown, one, runs, (line) =>
        onProgress(`${one.name}: ${line}`),
      );
      rows.push({ case: one.name, metrics: metricsOf(visits) });
    }
  } finally {
    await slowdown.remove();
  }
  return {
    bench: 'first-answer',
    conditions: {
      ...commonConditions(browser),
      thread: 'ours and the rivals compute on the main thread of the page; inWorker is ours in a worker',
      throttle: slowdown.description,
      link: cases
        .map(({ link }) => link)
        .filter((link, i, all) => all.indexOf(link) === i)
        .map((link) => `${link}: ${linkText(link)}`)
        .join('; '),
      runs: `${runs} visits each, in turn; means`,
      cache: 'a new browser context, a new origin and a new connection for every visit',
      pages:
        'bundled and minified by Vite, brotli 11; weights as they are; every page preloads what it will fetch',
      bytes: 'all that came down the link, headers included',
    },
    rows,
  };
}

function linkText(link: LinkProfileName): string {
  const { up, down } = linkProfiles[link];
  return `${down.bitsPerSecond / 1e6} Mbit/s down, ${up.bitsPerSecond / 1e6} up, round trip ${up.delayMs + down.delayMs} ms, by a TCP relay`;
}

export function contestantsOf({ manifest, branch, fp32, int8, tfjs }: Subject): Contestant[] {
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const onnx = (name: 'ortWeb' | 'ortWebInt8', model: Uint8Array): Contestant => ({
    name,
    page: 'first-ort-web',
    model: new Map([['model/model.onnx', model]]),
  });
  const own = new Map([
    ['model/manifest.json', json(manifest)],
    ['model/branch.safetensors', branch],
  ]);
  return [
    { name: 'ours', page: 'first-ours', model: own },
    { name: 'inWorker', page: 'first-worker', model: own },
    onnx('ortWeb', fp32),
    onnx('ortWebInt8', int8),
    {
      name: 'tfjs',
      page: 'first-tfjs',
      model: new Map([
        ['model/network.json', json(tfjs.network)],
        ['model/weights.bin', tfjs.weights],
      ]),
    },
  ];
}

/** The page with its model, as a careful site would serve it. */
export async function filesOf({ page, model }: Contestant, { manifest }: Subject): Promise<SiteFiles> {
  const [, channels, side] = manifest.input.dims;
  const built = await buildPage(page, { __CHANNELS__: `${channels}`, __SIDE__: `${side}` });
  const wasm = [...built.keys()].filter((path) => path.endsWith('.wasm'));
  return withPreloads(new Map([...built, ...model]), `${page}.html`, [...wasm, ...model.keys()]);
}

async function visitAll(
  browser: Browser,
  slowdown: Slowdown,
  { network, link }: FirstAnswerCase,
  runs: number,
  onProgress: (line: string) => void,
): Promise<Map<Contestant['name'], Visit[]>> {
  const subject = await openSubject(network);
  const contestants = contestantsOf(subject);
  const sites = new Map<Contestant, Site>();
  const visits = new Map(contestants.map(({ name }): [Contestant['name'], Visit[]] => [name, []]));
  try {
    for (const contestant of contestants)
      sites.set(contestant, await serveSite(await filesOf(contestant, subject), { compress: true }));
    for (let run = 0; run < runs; run++) {
      for (const [{ name, page }, { port }] of sites) {
        onProgress(`visit ${run + 1} of ${runs}, ${name}`);
        visits.get(name)!.push(await visit(browser, slowdown, link, port, `${page}.html`));
      }
    }
  } finally {
    for (const site of sites.values()) await site[Symbol.asyncDispose]();
  }
  return visits;
}

/** One visit to the page `path` of the site at `port`, with nothing cached. */
export async function visit(
  browser: Browser,
  slowdown: Slowdown,
  link: LinkProfileName,
  port: number,
  path: string,
): Promise<Visit> {
  await using relay = await createRelay({ target: { host: '127.0.0.1', port }, ...linkProfiles[link] });
  await using fresh = await openPage(browser);
  const { page } = fresh;
  await slowdown.slow(page);
  const url = `http://127.0.0.1:${relay.port}/${path}`;
  const [answer, ms] = await failingWith(page, url, async () => {
    const [answered] = await Promise.all([
      page.waitForEvent('console', {
        predicate: (message) => message.text().startsWith('answered '),
        timeout: timeoutMs,
      }),
      page.goto(url, { waitUntil: 'commit' }),
    ]);
    const [, label, time] = answered.text().split(' ').map(Number);
    return [label!, time!] as const;
  });
  return { ms, bytes: relay.counters.downBytes, answer };
}

function metricsOf(visits: ReadonlyMap<Contestant['name'], readonly Visit[]>): Record<string, number> {
  const average = (name: Contestant['name'], of: 'ms' | 'bytes') =>
    significant(mean(visits.get(name)!.map((visit) => visit[of])));
  const ms = average('ours', 'ms');
  const metrics: Record<string, number> = { ms, bytes: average('ours', 'bytes') };
  for (const rival of ['ortWeb', 'ortWebInt8', 'tfjs'] as const) {
    const rivalMs = average(rival, 'ms');
    metrics[`vs${rival[0]!.toUpperCase()}${rival.slice(1)}`] = significant(rivalMs / ms);
    metrics[`${rival}Ms`] = rivalMs;
    metrics[`${rival}Bytes`] = average(rival, 'bytes');
  }
  metrics['inWorkerMs'] = average('inWorker', 'ms');
  const own = visits.get('ours')!.map((visit) => visit.ms);
  metrics['msLeast'] = significant(Math.min(...own));
  metrics['msMost'] = significant(Math.max(...own));
  return metrics;
}
