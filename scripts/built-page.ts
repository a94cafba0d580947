import { fileURLToPath } from 'node:url';
import { build } from 'vite';

/** A page of a test and all it loads, by path with a slash in front. */
export type PageFiles = ReadonlyMap<string, string | Uint8Array>;

/** Bundles the HTML file at `page` from the sources of the packages, as a user would from their builds; writes nothing. */
export async function buildPage(page: URL): Promise<PageFiles> {
  const built = await build({
    root: fileURLToPath(new URL('.', page)),
    configFile: false,
    logLevel: 'error',
    resolve: { conditions: ['@tierwise/source', 'browser', 'import', 'default'] },
    build: {
      write: false,
      target: 'es2022',
      modulePreload: { polyfill: false },
      rollupOptions: { input: fileURLToPath(page) },
    },
    worker: { format: 'es' },
  });
  const outputs = [built].flat().flatMap((bundle) => ('output' in bundle ? bundle.output : []));
  return new Map(
    outputs.map((file) => [`/${file.fileName}`, file.type === 'chunk' ? file.code : file.source]),
  );
}

const contentTypes: Readonly<Record<string, string>> = { html: 'text/html', js: 'text/javascript' };

/** The type under which a file of a page is served. */
export function contentTypeOf(path: string): string {
  return contentTypes[path.split('.').at(-1)!] ?? 'application/octet-stream';
}
