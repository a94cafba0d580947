import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, constants } from 'node:zlib';
import { build } from 'vite';

/** Sources of the pages: the same folder from `src` and from `dist`. */
const pagesFolder = fileURLToPath(new URL('../src/pages/', import.meta.url));
const cacheFolder = fileURLToPath(new URL('../build/brotli/', import.meta.url));
const brotli = promisify(brotliCompress);

/** One file of a site by its path, which has no slash in front. */
export type SiteFiles = ReadonlyMap<string, Uint8Array>;

/**
 * Bundles `src/pages/NAME.html` with all it loads, minified, as a user of the libraries would: Vite with its
 * defaults, nothing inlined. `define` replaces names by JavaScript. Nothing is written to disk.
 */
export async function buildPage(
  name: string,
  define: Readonly<Record<string, string>> = {},
): Promise<SiteFiles> {
  const built = await build({
    configFile: false,
    root: pagesFolder,
    base: './',
    logLevel: 'error',
    define: { ...define },
    resolve: { conditions: ['@tierwise/source', 'module', 'browser', 'production'] },
    build: {
      write: false,
      target: 'es2022',
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      rollupOptions: { input: `${pagesFolder}${name}.html` },
    },
    worker: { format: 'es' },
  });
  const outputs = Array.isArray(built) ? built : [built];
  const files = new Map<string, Uint8Array>();
  for (const output of outputs) {
    if (!('output' in output)) continue;
    for (const file of output.output) {
      const body = file.type === 'chunk' ? file.code : file.source;
      files.set(file.fileName, typeof body === 'string' ? new TextEncoder().encode(body) : body);
    }
  }
  return files;
}

/** `files` with a page that tells the browser at once what it will fetch, before its script does. */
export function withPreloads(files: SiteFiles, page: string, paths: readonly string[]): SiteFiles {
  const links = paths.map((path) => `<link rel="preload" as="fetch" crossorigin href="./${path}">`);
  const html = new TextDecoder().decode(files.get(page));
  const body = new TextEncoder().encode(html.replace('</head>', `${links.join('')}</head>`));
  return new Map([...files, [page, body]]);
}

export interface Site extends AsyncDisposable {
  readonly port: number;
}

const contentTypes: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  mjs: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  json: 'application/json',
  wasm: 'application/wasm',
};

/**
 * Serves `files` on 127.0.0.1: pages, scripts, JSON and WebAssembly as brotli when `compress` is set, weights and
 * everything else as they are. No COOP or COEP: a page has one thread.
 */
export async function serveSite(files: SiteFiles, { compress }: { compress: boolean }): Promise<Site> {
  const bodies = new Map<string, { body: Uint8Array; headers: Record<string, string> }>();
  for (const [path, raw] of files) {
    const type = contentTypes[path.slice(path.lastIndexOf('.') + 1)];
    const packed = compress && type !== undefined;
    bodies.set(`/${path}`, {
      body: packed ? await compressed(raw) : raw,
      headers: {
        'Content-Type': type ?? 'application/octet-stream',
        'Cache-Control': 'no-store',
        ...(packed ? { 'Content-Encoding': 'br' } : {}),
      },
    });
  }
  const server = createServer((request, response) => {
    const found = bodies.get(new URL(request.url ?? '/', 'http://site').pathname);
    if (found === undefined) response.writeHead(404).end();
    else response.writeHead(200, { ...found.headers, 'Content-Length': found.body.length }).end(found.body);
  });
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Brotli at its best, as a site compresses once. ONNX Runtime's wasm takes half a minute, so results are kept. */
async function compressed(raw: Uint8Array): Promise<Uint8Array> {
  const file = `${cacheFolder}${createHash('sha256').update(raw).digest('hex')}.br`;
  const known = await readFile(file).catch(() => undefined);
  if (known !== undefined) return known;
  const packed = await brotli(raw, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: raw.length,
    },
  });
  await mkdir(cacheFolder, { recursive: true });
  await writeFile(`${file}.${process.pid}`, packed);
  await rename(`${file}.${process.pid}`, file);
  return packed;
}
