/** The pages of the benchmarks in a real browser: that they work and agree, not how fast they are. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { benchmarks } from './benchmarks.ts';
import { startBrowser } from './browser.ts';
import { contestantsOf, filesOf, visit } from './first-answer.ts';
import { serveSite } from './site.ts';
import { openSubject, type Subject } from './subjects.ts';

const chromePath = process.env['TIERWISE_CHROME'] ?? '/usr/bin/chromium';
const options = {
  chromePath,
  signal: new AbortController().signal,
  onProgress: () => {},
  runs: 1,
};
const finite = expect.toSatisfy((value) => Number.isFinite(value) && value > 0, 'a positive number');

describe('benchmarks end with one result of the form that all have', () => {
  test('kernels', async () => {
    const cases = ['conv3x3-64@32', 'fc-4096', 'stem-3x64@32'];
    const result = await benchmarks.kernels.run({ ...options, cases });
    expect(result.bench).toBe('kernels');
    expect(result.rows.map((row) => row.case)).toEqual(cases);
    for (const { metrics } of result.rows) {
      for (const name of ['gmacPerSecond', 'ofBound', 'vsOrtWeb', 'vsTfjs']) {
        expect(metrics).toMatchObject({ [name]: finite, [`${name}Median`]: finite });
        expect(metrics).toMatchObject({ [`best${name[0]!.toUpperCase()}${name.slice(1)}`]: finite });
      }
    }
    for (const condition of [
      'date',
      'cpu',
      'cores',
      'browser',
      'onnxruntime-web',
      'tfjs',
      'threads',
      'thread',
      'runs',
    ])
      expect(result.conditions).toHaveProperty([condition]);
    expect(JSON.parse(JSON.stringify(result))).toEqual(result);
  });

  test('branch', async () => {
    const { rows } = await benchmarks.branch.run({ ...options, cases: ['lenet'] });
    expect(rows).toEqual([
      {
        case: 'lenet',
        metrics: expect.objectContaining({
          ms: finite,
          vsOrtWeb: finite,
          vsOrtWebInt8: finite,
          plainMs: finite,
        }),
      },
    ]);
  });

  test('a cancelled one says so', async () => {
    const signal = AbortSignal.abort();
    await expect(benchmarks.branch.run({ ...options, signal })).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('pages of first-answer', () => {
  let browser: Browser;
  let subject: Subject;

  beforeAll(async () => {
    browser = await startBrowser(chromePath, options.signal);
    subject = await openSubject('lenet');
  });
  afterAll(() => browser.close());

  test.each(['ours', 'inWorker', 'ortWeb', 'ortWebInt8', 'tfjs'] as const)(
    '%s classifies the picture',
    async (name) => {
      const contestant = contestantsOf(subject).find((one) => one.name === name)!;
      await using site = await serveSite(await filesOf(contestant, subject), { compress: false });
      const unhindered = { description: '', slow: async () => {}, remove: async () => {} };
      const seen = await visit(browser, unhindered, 'wifi-dads', site.port, `${contestant.page}.html`);
      expect(seen).toEqual({ ms: finite, bytes: finite, answer: 1 });
    },
  );
});
