/** The conformance page, served under a content security policy. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { contentTypeOf, type PageFiles } from '../../../scripts/built-page.ts';
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

export async function serve(files: PageFiles, contentSecurityPolicy: string): Promise<ConformanceSite> {
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
        'content-type': contentTypeOf(pathname),
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
