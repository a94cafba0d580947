// What `npm test` runs: build, lint, types, the demo page, then every test. Arguments choose test files
// (`npm test -- packages/core`). Plain JavaScript, because it runs before anything is built.
//
//   CHROME_PATH            the browser to use; without it one is looked for (see chrome.js)
//   TIERWISE_DATA          folder of data sets, with models beside it in ../models; tests that need them are skipped without
//   TIERWISE_ALLOW_SKIP=0  a skipped test is a failure
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);

/** Steps and tests together. */
const count = { passed: 0, failed: 0, skipped: 0 };

/** Ends with the plain line that people and machines look for. */
function finish() {
  process.stdout.write(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped\n`);
  process.exit(count.failed === 0 ? 0 : 1);
}

/** Ends because the tests cannot begin. */
function giveUp(sentence) {
  process.stderr.write(`${sentence}\n`);
  count.failed++;
  finish();
}

/** Runs a JavaScript program to its end; gives whether it succeeded. */
function step(title, script, ...args) {
  process.stdout.write(`\n> ${title}\n`);
  const { status } = spawnSync(process.execPath, [script, ...args], { stdio: 'inherit' });
  if (status === 0) count.passed++;
  else {
    count.failed++;
    process.stdout.write(`failed: ${title}\n`);
  }
  return status === 0;
}

function checkData() {
  const data = process.env['TIERWISE_DATA'];
  if (!data) return;
  process.env['TIERWISE_DATA'] = resolve(data);
  if (!existsSync(data) || !statSync(data).isDirectory()) {
    giveUp(
      `TIERWISE_DATA is ${data}, which is not a folder: correct it, or unset it to skip what needs data.`,
    );
  }
}

/** After the build, which the search for a browser is part of. */
async function prepareChrome() {
  const { needChrome } = await import('./chrome.js');
  try {
    process.env['TIERWISE_CHROME'] = needChrome();
  } catch (error) {
    giveUp(error.message);
  }
}

function buildDemo() {
  if (!existsSync('apps/demo/package.json')) return;
  if (!JSON.parse(readFileSync('apps/demo/package.json', 'utf8')).scripts?.build) return;
  const npm = process.env['npm_execpath'];
  if (npm === undefined) giveUp('Run the tests with `npm test`, which says where npm is.');
  step('build the demo page', npm, 'run', '--silent', '-w', 'apps/demo', 'build');
}

/** Why a test did not run, as well as can be told. */
function reason(testCase) {
  const { note } = testCase.result();
  if (note) return note;
  const needsData = readFileSync(testCase.module.moduleId, 'utf8').includes('TIERWISE_DATA');
  if (needsData && !process.env['TIERWISE_DATA'])
    return 'needs data sets or models, and TIERWISE_DATA is not set';
  return 'the test gives no reason';
}

async function runTests(filters) {
  process.stdout.write('\n> tests\n');
  const { startVitest } = await import('vitest/node');
  const skipped = [];
  const vitest = await startVitest('test', filters, { run: true, watch: false });
  for (const module of vitest.state.getTestModules()) {
    if (module.errors().length > 0) count.failed++;
    for (const suite of module.children.allSuites()) if (suite.errors().length > 0) count.failed++;
    for (const testCase of module.children.allTests()) {
      const { state } = testCase.result();
      if (state === 'passed') count.passed++;
      else if (state === 'failed') count.failed++;
      else {
        count.skipped++;
        skipped.push(`${relative(root, module.moduleId)} > ${testCase.fullName}: ${reason(testCase)}`);
      }
    }
  }
  count.failed += vitest.state.getUnhandledErrors().length;
  if (vitest.state.getTestModules().length === 0) count.failed++;
  await vitest.close();
  if (skipped.length === 0) return;
  process.stdout.write(`\nSkipped:\n${skipped.map((line) => `  ${line}\n`).join('')}`);
  if (process.env['TIERWISE_ALLOW_SKIP'] === '0') {
    process.stdout.write('TIERWISE_ALLOW_SKIP is 0, so skipped tests are failures.\n');
    count.failed++;
  }
}

if (!existsSync('node_modules/vitest')) giveUp('The libraries are not installed: run `npm ci` first.');
checkData();
if (!step('build the kernels', 'packages/binary/scripts/build-wasm.js')) finish();
if (!step('build', 'node_modules/typescript/bin/tsc', '-b')) finish();
await prepareChrome();
step('lint', 'node_modules/@biomejs/biome/bin/biome', 'ci', '.');
step('types of tests', 'node_modules/typescript/bin/tsc', '-p', 'tsconfig.test.json');
buildDemo();
await runTests(process.argv.slice(2));
finish();
