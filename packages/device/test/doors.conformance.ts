/**
 * One suite for both doors, `@tierwise/device` and `@tierwise/device/main`: in Node and on a page. `site` is the
 * bundle's folder on a server of test/site.ts.
 */
import { isTierwiseError } from '@tierwise/core';
import type { Answer, Composite, LoadOptions, Picture, Progress } from '../src/api.ts';

export type Door = (
  url: string,
  options?: Pick<LoadOptions, 'signal' | 'onProgress' | 'rawInputMayLeave' | 'strategy' | 'edge'>,
) => Promise<Composite>;

interface Bench {
  readonly door: Door;
  readonly site: string;
  /** What the server does with requests from here on: `cut` them off, be `silent`, or `serve` those of new connections. */
  readonly edge: (behaviour: 'cut' | 'silent' | 'serve') => Promise<void>;
}

const grey = (...data: number[]) => ({ data: Uint8Array.from(data), width: 2, height: 2 });
const sure = grey(100, 0, 0, 7);
const unsure = grey(3, 2, 1, 7);

function same(found: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`expected ${b}, found ${a}`);
}

/** The code that `work` fails with. */
async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    return isTierwiseError(error) ? error.code : String(error);
  }
  return 'no error';
}

const inShort = ({ label, classIndex, tier, exit, degraded, sent, threshold }: Answer) => ({
  label,
  classIndex,
  tier,
  exit,
  degraded: degraded?.code,
  sent: sent?.tensor,
  threshold,
});

export const cases: Record<string, (bench: Bench) => Promise<void>> = {
  async 'tells how many bytes there will be before they come'({ door, site }) {
    const told: Progress[] = [];
    await using composite = await door(site, { onProgress: (progress) => told.push(progress) });
    const { bytes, file } = composite.manifest.branch.artifact;
    same(told[0], { file, loadedBytes: 0, totalBytes: bytes });
    same(told.at(-1), { file, loadedBytes: bytes, totalBytes: bytes });
  },

  async 'answers here when it is sure, and asks the edge when not'({ door, site }) {
    await using composite = await door(site);
    same(composite.plan.strategy, 'lcdnn');
    const mine = await composite.classify(sure);
    same(inShort(mine), { label: 'a', classIndex: 0, tier: 'device', exit: 'branch', threshold: 0.5 });
    same([mine.probabilities instanceof Float64Array, mine.path.length], [true, 1]);
    const theirs = await composite.classify(unsure);
    same(inShort(theirs), {
      label: 'c',
      classIndex: 2,
      tier: 'edge',
      exit: 'main',
      sent: 'stem',
      threshold: 0.5,
    });
    same([theirs.path.map(({ place }) => place), composite.edgeState], [['device', 'edge'], 'connected']);
  },

  async 'tells what is unlike all that it learnt, wherever the answer is from'({ door, site }) {
    const told = ({ tier, energy, familiar }: Answer) => [tier, energy.toFixed(4), familiar];
    await using composite = await door(site, { rawInputMayLeave: true });
    same(told(await composite.classify(sure)), ['device', '10.0001', true]);
    same(told(await composite.classify(unsure)), ['edge', '1.3019', false]);
    same(told(await composite.classify(sure, { threshold: 0 })), ['edge', '10.0001', true]);
    same(told(await composite.classify(unsure, { threshold: 1.01 })), ['device', '1.3019', false]);
    // The whole network has other scores, for which no threshold was chosen.
    await composite.use('edge-only');
    const { familiar, energy } = await composite.classify(sure);
    same([familiar, energy.toFixed(4)], [undefined, '100.0000']);
    await using old = await door(`${site}-old`);
    same(told(await old.classify(unsure)), ['edge', '1.3019', undefined]);
  },

  async 'leaves pictures to their owner'({ door, site }) {
    await using composite = await door(site);
    const data = Uint8Array.of(9, 100, 0, 0, 7, 9);
    const picture = { data: data.subarray(1, 5), width: 2, height: 2 };
    same((await composite.classify(picture)).label, 'a');
    same((await composite.classify(picture)).label, 'a');
    same([...data], [9, 100, 0, 0, 7, 9]);
  },

  async 'keeps thresholds: for one call, for later ones, and refuses what is none'({ door, site }) {
    await using composite = await door(site);
    same(composite.threshold, 0.5);
    same((await composite.classify(sure, { threshold: 0 })).tier, 'edge');
    const before = composite.classify(unsure);
    composite.setThreshold(1.01);
    same(composite.threshold, 1.01);
    same((await before).tier, 'edge');
    same((await composite.classify(unsure)).tier, 'device');
    same(await codeOf(() => composite.setThreshold(2)), 'PLAN_INVALID');
    same(await codeOf(() => composite.classify(sure, { threshold: Number.NaN })), 'PLAN_INVALID');
    same(composite.threshold, 1.01);
  },

  async 'fails with the codes that it names'({ door, site }) {
    same(await codeOf(() => door(`${site}-of-nobody`)), 'MODEL_UNKNOWN');
    same(await codeOf(() => door(`${site}-damaged`)), 'DIGEST_MISMATCH');
    same(await codeOf(() => door('http://')), 'REQUEST_INVALID');
    await using composite = await door(site);
    for (const none of [null, 'cat.jpg', {}, { ...sure, width: 3 }]) {
      same(await codeOf(() => composite.classify(none as Picture)), 'IMAGE_INVALID');
    }
    same(await codeOf(() => composite.classify(sure, { timeoutMs: 0 })), 'REQUEST_INVALID');
    same(await codeOf(() => composite.use('magic')), 'PLAN_INVALID');
    same(await codeOf(() => composite.use('device-only')), 'ENGINE_MISSING');
    same(await codeOf(() => composite.use('edge-only')), 'PLAN_INVALID');
    same((await composite.classify(sure)).label, 'a');
  },

  async 'changes the strategy'({ door, site }) {
    await using composite = await door(site, { rawInputMayLeave: true });
    await composite.use('edge-only');
    same([composite.plan.strategy, composite.threshold], ['edge-only', undefined]);
    same(inShort(await composite.classify(sure)), {
      label: 'c',
      classIndex: 2,
      tier: 'edge',
      exit: 'main',
      sent: 'pixels',
    });
  },

  async 'is cancelled'({ door, site, edge }) {
    const stopped = AbortSignal.abort();
    same(await codeOf(() => door(site, { signal: stopped })), 'CANCELLED');
    const loading = new AbortController();
    const begun = codeOf(() =>
      door(`${site}-endless`, { signal: loading.signal, onProgress: () => loading.abort() }),
    );
    same(await begun, 'CANCELLED');
    await using composite = await door(site);
    same(await codeOf(() => composite.classify(sure, { signal: stopped })), 'CANCELLED');
    same(await codeOf(() => composite.use('edge-only', { signal: stopped })), 'CANCELLED');
    await composite.classify(unsure);
    await edge('silent');
    const asking = new AbortController();
    const asked = codeOf(() => composite.classify(unsure, { signal: asking.signal }));
    asking.abort();
    same(await asked, 'CANCELLED');
    same((await composite.classify(unsure, { timeoutMs: 20 })).degraded?.code, 'TIMEOUT');
    await edge('serve');
  },

  async 'tells when the edge goes and comes'({ door, site, edge }) {
    await using composite = await door(site);
    await composite.classify(unsure);
    const heard: string[] = [];
    composite.on('edge', (state) => heard.push(state));
    const off = composite.on('degraded', ({ code }) => heard.push(code));
    await edge('cut');
    const answer = await composite.classify(unsure);
    same([answer.tier, answer.degraded?.code], ['device', 'EDGE_UNREACHABLE']);
    off();
    await edge('serve');
    // By itself or with a request, whichever is first.
    while ((await composite.classify(unsure)).tier !== 'edge');
    same(heard, ['unreachable', 'EDGE_UNREACHABLE', 'connected']);
    same(composite.edgeState, 'connected');
  },

  async 'is disposed once, with all that waits'({ door, site, edge }) {
    const composite = await door(site);
    await composite.classify(unsure);
    await edge('silent');
    const waiting = codeOf(() => composite.classify(unsure));
    const here = composite.classify(sure);
    await here;
    await Promise.all([composite.dispose(), composite[Symbol.asyncDispose]()]);
    same(await waiting, 'DISPOSED');
    same(await codeOf(() => composite.classify(sure)), 'DISPOSED');
    same(await codeOf(() => composite.use('lcdnn')), 'DISPOSED');
    await composite.dispose();
    await edge('serve');
  },
};
