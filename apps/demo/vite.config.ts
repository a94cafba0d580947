import { defineConfig } from 'vite';

// `npm run dev` serves the page itself and passes models and inference on to an edge on this machine.
const edge = 'http://127.0.0.1:8700';

export default defineConfig({
  // Addresses relative to the page, so that an edge may serve it under any path.
  base: './',
  resolve: { conditions: ['@tierwise/source', 'module', 'browser', 'development|production'] },
  build: { outDir: 'dist', target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  worker: { format: 'es' },
  server: { proxy: { '/models': { target: edge, ws: true }, '/v2': { target: edge, ws: true } } },
});
