/**
 * The whole house at once: the built page in a real browser, the committed composite, a real edge in its own
 * process that is killed and started again. Needs the page built and the packages compiled (`npm test` does both).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import '../src/hook.ts';
import { argmax, tensor } from '@tierwise/core';
import { extract, readOnnx, writeOnnx } from '@tierwise/graph';
import { type OrtSession, openSession } from '@tierwise/ort';
import { type Dataset, loadDataset } from '@tierwise/train';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const bundle = `${root}/models/lenet-mnist.tierwise`;

async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
      .once('error', reject)
      .listen(0, '127.0.0.1', () => {
        const address = server.address();
        server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
      });
  });
}

/** Starts `tierwise edge` and resolves when it says that it serves. */
async function startEdge(port: number): Promise<ChildProcess> {
  const edge = spawn(
    process.execPath,
    [
      'packages/cli/bin/tierwise.js',
      'edge',
      '--port',
      `${port}`,
      '--site',
      'apps/demo/dist',
      '--workers',
      '1',
      '--json',
    ],
    { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  edge.stderr!.on('data', (chunk) => {
    said += chunk;
  });
  await new Promise<void>((resolve, reject) => {
    edge.stdout!.once('data', () => resolve());
    edge.once('exit', (code) => reject(new Error(`the edge ended with ${code}: ${said}`)));
  });
  return edge;
}

async function kill(edge: ChildProcess): Promise<void> {
  if (edge.exitCode !== null || edge.signalCode !== null) return;
  const gone = new Promise((resolve) => edge.once('exit', resolve));
  edge.kill('SIGKILL');
  await gone;
}

/** What a page's answer looks like from here. */
interface Seen {
  readonly classIndex: number;
  readonly tier: string;
  readonly exit: string;
  readonly entropy: number;
  readonly degraded?: { readonly code: string } | undefined;
  readonly sentBytes: number;
  readonly path: readonly {
    readonly place: string;
    readonly uplinkBytes: number;
    readonly computeMs: number;
  }[];
}

const classify = (page: Page, greys: Uint8Array): Promise<Seen> =>
  page.evaluate(async (data) => {
    const answer = await window.tierwiseDemo!.classifyPixels(Uint8Array.from(data));
    return { ...answer, probabilities: [], sentBytes: answer.sent?.bytes ?? 0 };
  }, Array.from(greys));

describe('a digit drawn in the browser', () => {
  let port: number;
  let edge: ChildProcess;
  let browser: Browser;
  let page: Page;
  const faults: string[] = [];

  beforeAll(async () => {
    port = await freePort();
    edge = await startEdge(port);
    browser = await chromium.launch({
      executablePath: process.env['TIERWISE_CHROME'] ?? '/usr/bin/chromium',
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
    page = await browser.newPage({ viewport: { width: 390, height: 844 } });
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => {
      // A lost connection is reported by the browser itself; that is what one test is about.
      if (message.type() === 'error' && !/WebSocket|ERR_CONNECTION_REFUSED/.test(message.text()))
        faults.push(message.text());
    });
    await page.goto(`http://127.0.0.1:${port}/`);
    await page.waitForFunction(() => window.tierwiseDemo?.composite.edgeState === 'connected');
  });

  afterAll(async () => {
    await browser?.close();
    if (edge) await kill(edge);
    expect(faults).toEqual([]);
  });

  test('a clear one is answered on the device, and nothing leaves it', async () => {
    const sent: number[] = [];
    const session = await page.context().newCDPSession(page);
    await session.send('Network.enable');
    session.on('Network.webSocketFrameSent', ({ response }) => sent.push(response.payloadData.length));
    const box = (await page.getByTestId('canvas').boundingBox())!;
    // A frame after each move: a browser that is busy would leave some out, and the drawing its corners.
    const moveTo = async (x: number, y: number) => {
      await page.mouse.move(box.x + box.width * x, box.y + box.height * y);
      await page.evaluate(() => new Promise(requestAnimationFrame));
    };
    await moveTo(0.25, 0.22);
    await page.mouse.down();
    for (const [x, y] of [
      [0.4, 0.2],
      [0.6, 0.2],
      [0.73, 0.2],
      [0.68, 0.32],
      [0.62, 0.44],
      [0.51, 0.66],
      [0.44, 0.86],
    ] as const) {
      await moveTo(x, y);
    }
    await page.mouse.up();
    await expect.poll(() => page.getByTestId('tier').getAttribute('data-tier')).toBe('device');
    expect(await page.getByTestId('answer').textContent()).toContain('7');
    expect(await page.getByTestId('tier').textContent()).toMatch(/this device/i);
    expect(await page.getByTestId('bytes-up').textContent()).toContain('Nothing left this device');
    expect(sent).toEqual([]);
    await session.detach();
  });

  describe('an unsure one', () => {
    const unsure: { greys: Uint8Array; expected: number }[] = [];
    let data: Dataset;
    let whole: OrtSession;

    beforeAll(async () => {
      if (!process.env['TIERWISE_DATA']) return;
      data = (await loadDataset('mnist')).test;
      const model = readOnnx(await readFile(`${bundle}/model.onnx`), 'model.onnx');
      whole = await openSession(writeOnnx(extract(model, { inputs: ['pixels'], outputs: ['scores'] })));
      const threshold = await page.evaluate(() => window.tierwiseDemo!.composite.threshold!);
      for (let i = 0; i < data.samples && unsure.length < 6; i++) {
        const greys = data.images.subarray(i * 784, (i + 1) * 784);
        const entropy = await page.evaluate(
          async (pixels) =>
            (
              await window.tierwiseDemo!.composite.classify(
                { data: Uint8Array.from(pixels), width: 28, height: 28 },
                { threshold: 1.01 },
              )
            ).entropy,
          Array.from(greys),
        );
        if (entropy < threshold) continue;
        const scores = (
          await whole.run({ pixels: tensor('float32', [1, 1, 28, 28], Float32Array.from(greys)) })
        ).get('scores')!;
        unsure.push({ greys, expected: argmax(scores.data as Float32Array) });
      }
    });
    afterAll(() => whole?.dispose());

    const needsData = test.skipIf(!process.env['TIERWISE_DATA']);

    needsData(
      'is finished at the edge with the class that onnxruntime gives for the whole network',
      async () => {
        expect(unsure.length).toBe(6);
        for (const { greys, expected } of unsure) {
          const answer = await classify(page, greys);
          expect(answer).toMatchObject({ tier: 'edge', exit: 'main', classIndex: expected });
          expect(answer.degraded).toBeUndefined();
          expect(answer.sentBytes).toBeGreaterThan(0);
          expect(answer.path.map(({ place }) => place)).toEqual(['device', 'edge']);
          expect(answer.path[1]!.uplinkBytes).toBeGreaterThan(answer.sentBytes);
        }
        expect(await page.getByTestId('tier').textContent()).toMatch(/edge/i);
      },
    );

    needsData(
      "gets the branch's answer, marked degraded, while the edge is dead, and the edge's once it is back",
      async () => {
        const { greys, expected } = unsure[0]!;
        const [underWay] = await Promise.all([classify(page, greys), kill(edge)]);
        // Whether the edge had answered before it died is a race; an answer there must be either way.
        expect(
          underWay.degraded === undefined ? underWay.classIndex === expected : underWay.exit === 'branch',
        ).toBe(true);
        const alone = await classify(page, greys);
        expect(alone).toMatchObject({
          tier: 'device',
          exit: 'branch',
          degraded: { code: 'EDGE_UNREACHABLE' },
        });
        expect(await page.getByTestId('tier').textContent()).toMatch(/edge|reach/i);

        edge = await startEdge(port);
        await expect
          .poll(() => page.evaluate(() => window.tierwiseDemo!.composite.edgeState), { timeout: 20_000 })
          .toBe('connected');
        const again = await classify(page, greys);
        expect(again).toMatchObject({ tier: 'edge', classIndex: expected });
        expect(again.degraded).toBeUndefined();
      },
    );

    needsData('goes whole to the edge, or runs whole on the device, under the other strategies', async () => {
      const { greys, expected } = unsure[1]!;
      for (const [strategy, place] of [
        ['edge-only', 'edge'],
        ['device-only', 'device'],
        ['lcdnn', 'edge'],
      ] as const) {
        const seen = await page.evaluate(
          async ([name, pixels]) => {
            const { composite } = window.tierwiseDemo!;
            await composite.use(name as string);
            const { classIndex, tier, path } = await composite.classify({
              data: Uint8Array.from(pixels as number[]),
              width: 28,
              height: 28,
            });
            return { classIndex, tier, places: path.map((step) => step.place) };
          },
          [strategy, Array.from(greys)] as const,
        );
        expect(seen).toMatchObject({ classIndex: expected, tier: place });
      }
    });
  });

  test('the examples do what they say: three are plain, three are in between', async () => {
    const tiers: (string | null)[] = [];
    const entropy = () => page.getByTestId('entropy').getAttribute('data-value');
    for (const button of await page.locator('#examples button').all()) {
      const before = await entropy();
      await button.click();
      await expect.poll(entropy).not.toBe(before);
      await expect.poll(() => page.getByTestId('tier').getAttribute('data-tier')).toMatch(/device|edge/);
      tiers.push(await page.getByTestId('tier').getAttribute('data-tier'));
    }
    expect(tiers).toEqual(['device', 'device', 'device', 'edge', 'edge', 'edge']);
  });

  test('fits a phone and a desk without scrolling sideways', async () => {
    for (const [width, height] of [
      [390, 844],
      [1280, 800],
    ] as const) {
      await page.setViewportSize({ width, height });
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    }
  });
});
