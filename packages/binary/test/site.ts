/** The conformance page, bundled as a user would and served under a content security policy. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import type { ConformanceReport } from './page/conformance.ts';

export interface ConformanceSite {
  /** The page with all that it is asked in its query. */
  url(query: string): string;
  /** Paths asked for so far. */
  readonly paths: readonly string[];
  /** What the next page posts. */
  report(): Promise<ConformanceReport>;
  stop(): Promise<void>;
}

const contentTypes: Readonly<Record<string, string>> = { html: 'text/html', js: 'text/javascript' };

export type SiteFiles = ReadonlyMap<string, string | Uint8Array>;

/** Files by path. */
export async function buildPage(): Promise<SiteFiles> {
  const root = fileURLToPath(new URL('page/', import.meta.url));
  const built = await build({
    root,
    configFile: false,
    logLevel: 'error',
    resolve: { conditions: ['@tierwise/source', 'browser', 'import', 'default'] },
    build: {
      write: false,
      target: 'es2022',
      modulePreload: { polyfill: false },
      rollupOptions: { input: `${root}conformance.html` },
    },
  });
  const files = new Map<string, string | Uint8Array>();
  for (const bundle of [built].flat()) {
    if (!('output' in bundle)) continue;
    for (const file of bundle.output) {
      files.set(`/${file.fileName}`, file.type === 'chunk' ? file.code : file.source);
    }
  }
  return files;
}

export async function serve(files: SiteFiles, contentSecurityPolicy: string): Promise<ConformanceSite> {
  const paths: string[] = [];
  const waiting: ((report: ConformanceReport) => void)[] = [];
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, 'http://site');
    if (request.method === 'POST') {
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        response.end();
        waiting.shift()?.(JSON.parse(body) as ConformanceReport);
      });
      return;
    }
    paths.push(pathname);
    const found = files.get(pathname);
    if (found === undefined) {
      response.writeHead(404).end();
      return;
    }
    response
      .writeHead(200, {
        'content-type': contentTypes[pathname.split('.').at(-1)!] ?? 'application/octet-stream',
        'content-security-policy': contentSecurityPolicy,
      })
      .end(found);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: (query) => `http://127.0.0.1:${port}/conformance.html?${query}`,
    paths,
    report: () => new Promise((resolve) => waiting.push(resolve)),
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
