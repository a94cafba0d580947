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
import { type Dataset, loadDataset } from '@tierwise/data';
import { extract, readOnnx, writeOnnx } from '@tierwise/graph';
import { type OrtSession, openSession } from '@tierwise/ort';
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
  readonly familiar?: boolean | undefined;
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
        '--use-fake-device-for-media-stream',
        '--use-fake-ui-for-media-stream',
      ],
    });
    page = await browser.newPage({ viewport: { width: 390, height: 844 } });
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => {
      // A lost connection is reported by the browser itself; that is what one test is about.
      if (message.type() === 'error' && !/WebSocket|ERR_CONNECTION_(REFUSED|RESET)/.test(message.text()))
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
    // What would have been sent, and what could have been rebuilt from it.
    await expect.poll(() => page.getByTestId('reveal').textContent()).toContain('Not sent');
    const likeness = await page.evaluate(() => {
      const greys = (id: string) => {
        const canvas = document.getElementById(id) as HTMLCanvasElement;
        return canvas
          .getContext('2d')!
          .getImageData(0, 0, 28, 28)
          .data.filter((_, i) => i % 4 === 0);
      };
      const [seen, rebuilt] = [greys('picture'), greys('rebuilt')];
      const error = seen.reduce((sum, grey, i) => sum + (grey - rebuilt[i]!) ** 2, 0) / seen.length;
      return 10 * Math.log10(255 ** 2 / error);
    });
    // `tierwise leakage` measures 24.6 dB over test pictures.
    expect(likeness).toBeGreaterThan(19);
    expect(await page.getByTestId('history').isVisible()).toBe(true);
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
          .poll(() => page.evaluate(() => window.tierwiseDemo!.composite.edgeState))
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

  test.skipIf(!process.env['TIERWISE_DATA'])(
    'what is no digit is said to be unlike all that was learned, and a digit is not',
    async () => {
      const first = async (data: string) => (await loadDataset(data)).test.images.subarray(784, 2 * 784);
      const summary = page.locator('#summary');
      expect(await classify(page, await first('mnist'))).toMatchObject({ familiar: true });
      expect(await summary.textContent()).not.toContain('none of these');
      expect(await classify(page, await first('fashion-mnist'))).toMatchObject({ familiar: false });
      expect(await summary.textContent()).toContain('Perhaps none of these');
      expect(await page.locator('#announcement').textContent()).toContain('Perhaps none of these');
    },
  );

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

  const choose = (mode: string) => page.locator(`#modes input[value=${mode}]`).check({ force: true });
  const answered = (label: string) => expect.poll(() => page.getByTestId('answer').textContent()).toBe(label);

  test('sketched clothes are recognised by their own network', async () => {
    await choose('clothes');
    await expect.poll(() => page.locator('#bars li').first().textContent()).toContain('T-shirt/top');
    for (const [example, label] of [
      ['a T-shirt', 'T-shirt/top'],
      ['trousers', 'Trouser'],
      ['an ankle boot', 'Ankle boot'],
    ] as const) {
      await page.getByRole('button', { name: `Draw ${example}` }).click();
      await answered(label);
    }
  });

  test('the camera is looked at on this device, and a photo may take its place', async () => {
    await choose('camera');
    await expect.poll(() => page.locator('#shutter').isEnabled()).toBe(true);
    await expect.poll(() => page.getByTestId('tier').getAttribute('data-tier')).toBe('guess');
    const png = await page.evaluate(() => {
      const canvas = document.createElement('canvas');
      canvas.width = canvas.height = 200;
      const context = canvas.getContext('2d')!;
      context.fillStyle = '#e8e4da';
      context.fillRect(0, 0, 200, 200);
      context.lineWidth = 16;
      context.lineCap = context.lineJoin = 'round';
      context.strokeStyle = '#223';
      context.stroke(new Path2D('M55 50 L145 45 L95 160'));
      return canvas.toDataURL('image/png').split(',')[1]!;
    });
    await page
      .locator('#photo-file')
      .setInputFiles({ name: 'seven.png', mimeType: 'image/png', buffer: Buffer.from(png, 'base64') });
    await answered('7');
    await expect.poll(() => page.getByTestId('tier').getAttribute('data-tier')).toMatch(/device|edge/);
    await page
      .locator('#photo-file')
      .setInputFiles({ name: 'x.txt', mimeType: 'text/plain', buffer: Buffer.from('none') });
    await expect
      .poll(() => page.locator('#camera-problem').textContent())
      .toContain('x.txt is not a picture');
    await choose('digits');
    expect(
      await page.evaluate(() => (document.getElementById('camera') as HTMLVideoElement).srcObject),
    ).toBeNull();
  });

  test('keys draw, and switch between the modes', async () => {
    await page.locator('#modes input[value=digits]').focus();
    await page.keyboard.press('ArrowRight');
    expect(await page.locator('#title').textContent()).toBe('Sketch clothes');
    await page.keyboard.press('ArrowLeft');
    expect(await page.locator('#title').textContent()).toBe('Draw a digit');
    await page.getByTestId('canvas').focus();
    for (let i = 0; i < 8; i++) await page.keyboard.press('ArrowUp');
    await page.keyboard.press('Space');
    for (let i = 0; i < 20; i++) await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Space');
    await answered('1');
  });

  test('fits a phone and a desk without scrolling sideways, in every mode', async () => {
    for (const mode of ['clothes', 'camera', 'digits']) {
      await choose(mode);
      for (const [width, height] of [
        [320, 640],
        [390, 844],
        [1280, 800],
      ] as const) {
        await page.setViewportSize({ width, height });
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      }
    }
  });

  test('works without any server after the first visit, with the branch alone', async () => {
    await expect.poll(() => page.getByTestId('offline').isVisible()).toBe(true);
    await kill(edge);
    // The browser says that it could not reach the server; that is what this test is about.
    const before = faults.length;
    await page.reload();
    await page.waitForFunction(() => window.tierwiseDemo !== undefined);
    for (const name of ['a plain 3', 'something between 4 and 9']) {
      await page.getByRole('button', { name: `Draw ${name}` }).click();
      await expect.poll(() => page.getByTestId('tier').getAttribute('data-tier')).toMatch(/device|degraded/);
    }
    await expect.poll(() => page.getByTestId('tier').getAttribute('data-tier')).toBe('degraded');
    await choose('clothes');
    await page.getByRole('button', { name: 'Draw trousers' }).click();
    await answered('Trouser');
    const manifest = await page.evaluate(async () => {
      const link = document.querySelector<HTMLLinkElement>('link[rel=manifest]')!;
      return (await fetch(link.href)).json() as Promise<{ icons: { src: string }[]; start_url: string }>;
    });
    expect(manifest.start_url).toBe('./');
    expect(faults.slice(before).filter((fault) => !/Failed to fetch|Failed to load/.test(fault))).toEqual([]);
    faults.length = before;
  });
});
