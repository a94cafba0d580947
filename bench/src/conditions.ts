import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, platform, release, type as systemName } from 'node:os';
import type { Browser } from 'playwright-core';
import type { Conditions } from './result.ts';

const require = createRequire(import.meta.url);

/** Version of an installed package, also of one that does not offer its package.json. */
function versionOf(name: string): string {
  const paths = require.resolve.paths(name) ?? [];
  for (const path of paths) {
    try {
      return JSON.parse(readFileSync(`${path}/${name}/package.json`, 'utf8')).version;
    } catch {
      // It is in another of the folders.
    }
  }
  return 'unknown';
}

/** What every benchmark says about the machine. */
export function machineConditions(): Conditions {
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    system: `${systemName()} ${release()} ${platform()} ${process.arch}`,
  };
}

/** What benchmarks in a page say about the browser and the rivals, too. */
export function commonConditions(browser: Browser): Conditions {
  return {
    ...machineConditions(),
    browser: `Chromium ${browser.version()}, headless`,
    'onnxruntime-web': `${versionOf('onnxruntime-web')}, entry point onnxruntime-web/wasm, SIMD`,
    tfjs: `${versionOf('@tensorflow/tfjs-core')}, WebAssembly backend, SIMD`,
    threads: 1,
  };
}
