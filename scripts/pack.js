// What `npm run pack -- FOLDER` runs: writes a tarball of each package that is not private into FOLDER, as it would be
// published. Packages are put together from what their sources compile to today, so nothing old, no test and no build
// record gets in; the condition and the dependencies that only this workspace uses are taken out of package.json. The SDK
// also gets `page/`: the same code in a few files that a page loads without a bundler.
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Ends with one sentence. */
function giveUp(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}

/** package.json as an installed package needs it; what is put together is all packed. */
function published({ devDependencies, files, ...manifest }) {
  const withoutSource = ({ '@tierwise/source': source, ...conditions }) => conditions;
  const exports = Object.entries(manifest.exports).map(([path, target]) => [
    path,
    typeof target === 'string' ? target : withoutSource(target),
  ]);
  return { ...manifest, exports: Object.fromEntries(exports) };
}

/** Copies what belongs into the package at `from`, a folder of the workspace, to the folder `to`. */
function assemble(from, to) {
  const copy = (file) => cpSync(join(from, file), join(to, file), { recursive: true });
  const manifest = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'));
  for (const name of manifest.files.filter((entry) => !['src', 'dist'].includes(entry))) copy(name);
  const sources = readdirSync(join(from, 'src'), { recursive: true }).filter(
    (file) => file.endsWith('.ts') && !file.endsWith('.test.ts'),
  );
  for (const source of sources) {
    copy(join('src', source));
    const made = join('dist', source.slice(0, -'.ts'.length));
    for (const ending of ['.js', '.js.map', '.d.ts', '.d.ts.map']) {
      if (!existsSync(join(from, made + ending)))
        giveUp(`${join(from, made + ending)} is missing: run \`npm run build\` first.`);
      copy(made + ending);
    }
  }
  cpSync(join(root, 'LICENSE'), join(to, 'LICENSE'));
  writeFileSync(join(to, 'package.json'), `${JSON.stringify(published(manifest), undefined, 2)}\n`);
}

/** The SDK in a few files with relative addresses, for `<script type="module">`. */
async function buildPage(to) {
  await build({
    root: join(root, 'packages/device'),
    configFile: false,
    logLevel: 'warn',
    base: './',
    publicDir: false,
    worker: { format: 'es' },
    build: {
      outDir: to,
      emptyOutDir: true,
      target: 'es2022',
      assetsDir: '.',
      assetsInlineLimit: 0,
      modulePreload: false,
      rolldownOptions: {
        input: {
          tierwise: join(root, 'packages/device/dist/index.js'),
          main: join(root, 'packages/device/dist/main.js'),
          cache: join(root, 'packages/device/dist/cache.js'),
        },
        preserveEntrySignatures: 'strict',
        output: { entryFileNames: '[name].js' },
      },
    },
  });
}

const [folder] = process.argv.slice(2);
if (folder === undefined) giveUp('Say where the packages should go: npm run pack -- FOLDER');
const destination = resolve(folder);
mkdirSync(destination, { recursive: true });
const staging = mkdtempSync(join(tmpdir(), 'tierwise-pack-'));
try {
  const folders = [];
  for (const name of readdirSync(join(root, 'packages'))) {
    const from = join(root, 'packages', name);
    if (JSON.parse(readFileSync(join(from, 'package.json'), 'utf8')).private) continue;
    const to = join(staging, name);
    mkdirSync(to);
    assemble(from, to);
    if (name === 'device') await buildPage(join(to, 'page'));
    folders.push(to);
  }
  const args = ['pack', '--silent', '--pack-destination', destination, ...folders];
  const npm = process.env['npm_execpath'];
  const command = npm === undefined ? ['npm', args] : [process.execPath, [npm, ...args]];
  const done = spawnSync(command[0], command[1], { encoding: 'utf8', cwd: staging });
  if (done.status !== 0) giveUp(`npm pack: ${done.stderr || done.error?.message}`);
  process.stdout.write(done.stdout);
} finally {
  rmSync(staging, { recursive: true, force: true });
}
