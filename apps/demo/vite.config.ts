import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { defineConfig, type Plugin } from 'vite';

// `npm run dev` serves the page itself and passes models and inference on to an edge on this machine.
const edge = 'http://127.0.0.1:8700';

/**
 * Writes into the service worker what it keeps: all of the page's files but the runtime for whole networks, which is
 * 14 MB and only fetched by visitors who ask for it.
 */
function offlineShell(): Plugin {
  return {
    name: 'offline-shell',
    apply: 'build',
    generateBundle: {
      order: 'post',
      handler(_, bundle) {
        const worker = bundle['service-worker.js'];
        if (worker?.type !== 'chunk') throw new Error('the build made no service-worker.js');
        const kept = readdirSync('public', { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => `${entry.parentPath}/${entry.name}`.replace(/^public\//, ''));
        const hash = createHash('sha256');
        for (const name of kept) hash.update(readFileSync(`public/${name}`));
        const made = Object.values(bundle).filter(
          (file) => file !== worker && !/(^|[/-])ort[.-]/.test(file.fileName),
        );
        for (const file of made) hash.update(file.type === 'chunk' ? file.code : file.source);
        const shell = [
          './',
          ...kept,
          ...made.map((file) => file.fileName).filter((name) => name !== 'index.html'),
        ];
        const version = hash.digest('hex').slice(0, 12);
        worker.code = `const shell=${JSON.stringify(shell)},version="${version}";\n${worker.code.replace(/export\s*\{\s*\};?/, '')}`;
      },
    },
  };
}

export default defineConfig({
  // Addresses relative to the page, so that an edge may serve it under any path.
  base: './',
  resolve: { conditions: ['@tierwise/source', 'module', 'browser', 'development|production'] },
  plugins: [offlineShell()],
  build: {
    outDir: 'dist',
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: { index: 'index.html', 'service-worker': 'src/service-worker.ts' },
      output: {
        entryFileNames: ({ name }) =>
          name === 'service-worker' ? 'service-worker.js' : 'assets/[name]-[hash].js',
      },
    },
  },
  worker: { format: 'es' },
  server: { proxy: { '/models': { target: edge, ws: true }, '/v2': { target: edge, ws: true } } },
});
