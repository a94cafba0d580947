import { TierwiseError } from '@tierwise/core';
import { type Browser, chromium, type Page } from 'playwright-core';

/**
 * Features that work beside the page in processes of their own kind: the address bar's pop-ups are pages that take half
 * a second of CPU for every window, a spare renderer starts while the page loads. The others only make traffic.
 */
const unwanted = [
  'WebUIOmniboxPopup',
  'WebUIOmniboxAimPopup',
  'WebUIOmniboxFullPopup',
  'SpareRendererForSitePerProcess',
  'HttpsUpgrades',
  'HttpsFirstBalancedModeAutoEnable',
  'MediaRouter',
  'OptimizationHints',
  'PreconnectToSearch',
];

/**
 * Starts Chromium without a window and without anything that works in the background or saves power by slowing
 * pages down. `signal` ends it, which fails whatever waits for a page.
 * @throws TierwiseError ENGINE_MISSING when there is none or it does not start; CANCELLED
 */
export async function startBrowser(chromePath: string | undefined, signal: AbortSignal): Promise<Browser> {
  if (signal.aborted) throw cancelled(signal);
  if (chromePath === undefined)
    throw new TierwiseError(
      'ENGINE_MISSING',
      'this benchmark runs in Chrome or Chromium, and there is none here: install it, or set CHROME_PATH',
    );
  let browser: Browser;
  try {
    browser = await chromium.launch({
      executablePath: chromePath,
      handleSIGINT: false,
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--disable-extensions',
        '--disable-renderer-backgrounding',
        '--disable-background-timer-throttling',
        `--disable-features=${unwanted.join(',')}`,
      ],
    });
  } catch (cause) {
    throw new TierwiseError('ENGINE_MISSING', `${chromePath} does not start: ${cause}`, {}, { cause });
  }
  const stop = () => void browser.close();
  signal.addEventListener('abort', stop);
  browser.once('disconnected', () => signal.removeEventListener('abort', stop));
  return browser;
}

/** A page in a context of its own: no cache, no compiled code from before. */
export interface FreshPage extends AsyncDisposable {
  readonly page: Page;
}

export async function openPage(browser: Browser): Promise<FreshPage> {
  const context = await browser.newContext();
  const page = await context.newPage();
  return {
    page,
    // When the browser is gone, so is the context.
    [Symbol.asyncDispose]: () => context.close().catch(() => {}),
  };
}

/**
 * Loads `url` and calls the function that the page offers (pages/offer.ts) with `input`, which is plain data, like
 * the result.
 * @throws TierwiseError INTERNAL with the page's own words when it fails
 */
export async function callPage<Input, Output>(page: Page, url: string, input: Input): Promise<Output> {
  return failingWith(page, url, async () => {
    await page.goto(url);
    const result = await page.evaluate(
      (given) => (globalThis as unknown as { bench(input: unknown): Promise<unknown> }).bench(given),
      input as unknown,
    );
    return result as Output;
  });
}

/**
 * What `work` gives, unless an error that nobody catches on the page, or the end of the page, comes first.
 * @throws TierwiseError INTERNAL
 */
export async function failingWith<T>(page: Page, url: string, work: () => Promise<T>): Promise<T> {
  const fail = (what: string, cause?: unknown) =>
    new TierwiseError('INTERNAL', `the page ${url} failed: ${what}`, {}, { cause });
  let listen: (error: Error) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    listen = (error) => reject(fail(error.message, error));
    page.once('pageerror', listen);
    page.once('crash', () => reject(fail('it crashed')));
  });
  try {
    return await Promise.race([work(), failed]);
  } catch (cause) {
    if (cause instanceof TierwiseError) throw cause;
    throw fail(cause instanceof Error ? cause.message : String(cause), cause);
  } finally {
    page.off('pageerror', listen);
  }
}

export function cancelled(signal: AbortSignal): TierwiseError {
  return new TierwiseError('CANCELLED', 'the benchmark was cancelled', {}, { cause: signal.reason });
}
