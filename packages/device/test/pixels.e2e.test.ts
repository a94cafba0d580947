import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildPage } from '../../../scripts/built-page.ts';
import type { toPixels } from '../src/pixels.ts';

declare global {
  var pixelsOf: typeof toPixels;
}

/** Red and blue beside one another, 2 x 1 pixels. */
const redBlue = [255, 0, 0, 255, 0, 0, 255, 255];

let browser: Browser;
let page: Page;

beforeAll(async () => {
  const files = await buildPage(new URL('page/pixels.html', import.meta.url));
  const [, script] = [...files].find(([path]) => path.endsWith('.js'))!;
  browser = await chromium.launch({
    executablePath: process.env['TIERWISE_CHROME'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  });
  page = await browser.newPage();
  await page.addScriptTag({ type: 'module', content: String(script) });
  await page.waitForFunction(() => typeof globalThis.pixelsOf === 'function');
});
afterAll(() => browser?.close());

const kinds = [
  'canvas',
  'canvas without OffscreenCanvas',
  'offscreen canvas',
  'image data',
  'bitmap',
  'image',
  'video',
  'frame',
] as const;

test.each(kinds)('%s gives the pixels that it shows, at its own size', async (kind) => {
  const seen = await page.evaluate(
    async ([wanted, rgba]) => {
      const canvas = document.createElement('canvas');
      canvas.width = 2;
      canvas.height = 1;
      const data = new ImageData(new Uint8ClampedArray(rgba), 2, 1);
      canvas.getContext('2d')!.putImageData(data, 0, 0);
      const picture = async () => {
        switch (wanted) {
          case 'canvas':
          case 'canvas without OffscreenCanvas':
            return canvas;
          case 'offscreen canvas': {
            const offscreen = new OffscreenCanvas(2, 1);
            offscreen.getContext('2d')!.putImageData(data, 0, 0);
            return offscreen;
          }
          case 'image data':
            return data;
          case 'bitmap':
            return createImageBitmap(canvas);
          case 'image': {
            // Shown larger than it is, which must not count.
            const image = new Image(20, 10);
            image.src = canvas.toDataURL('image/png');
            await image.decode();
            return image;
          }
          case 'frame':
            return new VideoFrame(canvas, { timestamp: 0 });
          case 'video': {
            const video = document.createElement('video');
            video.muted = true;
            video.srcObject = canvas.captureStream();
            await video.play();
            return video;
          }
        }
      };
      const drawn = await picture();
      const { OffscreenCanvas: kept } = globalThis;
      if (wanted === 'canvas without OffscreenCanvas') Reflect.deleteProperty(globalThis, 'OffscreenCanvas');
      const { data: pixels, width, height } = globalThis.pixelsOf(drawn);
      globalThis.OffscreenCanvas = kept;
      return { pixels: [...pixels], width, height };
    },
    [kind, redBlue] as const,
  );
  expect([seen.width, seen.height]).toEqual([2, 1]);
  // A video's colours pass through YUV, where neighbours share them; what is checked there is size and opacity.
  if (kind === 'video') expect([seen.pixels[3], seen.pixels[7]]).toEqual([255, 255]);
  else expect(seen.pixels).toEqual(redBlue);
});

/** What `pixelsOf` says about an image, once it has loaded or not. */
const refusal = (src: string) =>
  page.evaluate(async (address) => {
    const image = new Image();
    if (address !== '') {
      image.src = address;
      await image.decode();
    }
    try {
      globalThis.pixelsOf(image);
      return 'accepted';
    } catch (error) {
      return `${(error as { code: string }).code} ${(error as Error).message}`;
    }
  }, src);

test('an image that has not loaded is refused', async () => {
  expect(await refusal('')).toBe('IMAGE_INVALID the picture has no pixels (0 x 0): is it loaded?');
});

test("an image of another site, which a page may show and not read, is the page's mistake and says so", async () => {
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="2" height="1"><rect width="2" height="1"/></svg>';
  const server = createServer((_, response) =>
    response.writeHead(200, { 'content-type': 'image/svg+xml' }).end(svg),
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  expect(await refusal(`http://127.0.0.1:${port}/a.svg`)).toMatch(
    /^IMAGE_INVALID the picture cannot be read: .*taint/,
  );
  server.closeAllConnections();
  server.close();
});
