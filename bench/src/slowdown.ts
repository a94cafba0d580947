import { readdirSync, readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { callPage, openPage } from './browser.ts';
import { createCpuGroup } from './cgroup.ts';
import type { Calibration } from './pages/calibration.ts';
import { buildPage, serveSite } from './site.ts';
import { mean, significant } from './statistics.ts';

/** How pages are slowed down. */
export interface Slowdown {
  /** For people: the means, and by how much it slowed a loop down on the main thread and in a worker. */
  readonly description: string;
  /** Slows a page down that has been opened and has not loaded anything yet. */
  slow(page: Page): Promise<void>;
  remove(): Promise<void>;
}

/** Rounds of the calibration's loop: about 60 ms at full speed. */
const calibrationRounds = 4e7;

/**
 * Makes pages of `browser` slower by `factor`: by a control group over all renderers where one can be made, else by
 * DevTools, which does not reach workers. Both are tried on a loop.
 */
export async function slowDown(browser: Browser, factor: number): Promise<Slowdown> {
  const before = await calibrate(browser, async () => {});
  const group = createCpuGroup(factor);
  let method: string;
  let slow: Slowdown['slow'];
  if (group === undefined) {
    method = `DevTools CPU throttling ${factor}x, which reaches the main thread only`;
    slow = async (page) => {
      const session = await page.context().newCDPSession(page);
      await session.send('Emulation.setCPUThrottlingRate', { rate: factor });
    };
  } else {
    method = `CPU quota of a control group (v${group.version}): all threads of the page together get 1/${factor} of a core`;
    slow = async () => group.add(await renderers(browser));
  }
  const after = await calibrate(browser, slow);
  const ratio = (thread: keyof Calibration) => significant(after[thread] / before[thread], 2);
  return {
    description: `${method}; a loop took ${ratio('mainMs')} times as long on the main thread, ${ratio('workerMs')} times in a worker`,
    slow,
    async remove() {
      await group?.remove();
    },
  };
}

async function calibrate(browser: Browser, slow: Slowdown['slow']): Promise<Calibration> {
  await using site = await serveSite(await buildPage('calibration'), { compress: false });
  const runs: Calibration[] = [];
  for (let run = 0; run < 3; run++) {
    await using fresh = await openPage(browser);
    await slow(fresh.page);
    const url = `http://127.0.0.1:${site.port}/calibration.html`;
    runs.push(await callPage<number, Calibration>(fresh.page, url, calibrationRounds));
  }
  return {
    mainMs: mean(runs.map(({ mainMs }) => mainMs)),
    workerMs: mean(runs.map(({ workerMs }) => workerMs)),
  };
}

/** Processes that show pages, and those that such processes are forked from: later ones are born slow. */
async function renderers(browser: Browser): Promise<number[]> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const own = processInfo.find(({ type }) => type === 'browser')!.id;
  return [...processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id), ...zygotesBelow(own)];
}

function zygotesBelow(parent: number): number[] {
  const read = (path: string) => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return '';
    }
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      // The fields after the name, which is in brackets and may hold anything: state, parent.
      const [, fields = ''] = read(`/proc/${pid}/stat`).split(/\) (?!.*\) )/);
      return (
        Number(fields.split(' ')[1]) === parent && read(`/proc/${pid}/cmdline`).includes('--type=zygote')
      );
    })
    .map(Number);
}
