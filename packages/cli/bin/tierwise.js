#!/usr/bin/env node
// Committed as plain JavaScript so that `npx tierwise` works after `npm ci` alone:
// it builds what the workspace lacks on first use, then runs the compiled command line.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const main = new URL('../dist/main.js', import.meta.url);
const stamp = fileURLToPath(new URL('../dist/.built', import.meta.url));

/** Newest modification time below `folder`, in milliseconds; tests do not count. */
function newest(folder) {
  let time = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name.endsWith('.test.ts')) continue;
    const path = `${folder}/${entry.name}`;
    time = Math.max(time, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs);
  }
  return time;
}

// An installed package has no workspace around it and arrives built.
if (existsSync(`${root}/tsconfig.json`) && existsSync(`${root}/packages`)) {
  const tsc = `${root}/node_modules/typescript/bin/tsc`;
  if (!existsSync(tsc)) {
    process.stderr.write(
      'tierwise: its libraries are not installed; run `npm ci` in the root of the workspace\n',
    );
    process.exit(1);
  }
  const sources = readdirSync(`${root}/packages`).map((name) => `${root}/packages/${name}/src`);
  sources.push(`${root}/packages/binary/assembly`, `${root}/bench/src`);
  const newestSource = Math.max(...sources.filter(existsSync).map(newest));
  if (!existsSync(stamp) || statSync(stamp).mtimeMs < newestSource) {
    const steps = [[`${root}/packages/binary/scripts/build-wasm.js`], [tsc, '-b', `${root}/packages/cli`]];
    const run = (step) => spawnSync(process.execPath, step, { stdio: ['ignore', 2, 2] }).status === 0;
    if (!steps.every(run)) {
      process.stderr.write(
        'tierwise: the workspace does not build; run `npm ci` and then `npm run build` to see why\n',
      );
      process.exit(1);
    }
    writeFileSync(stamp, '');
  }
}
await import(main.href);
