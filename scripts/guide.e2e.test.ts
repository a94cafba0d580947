/**
 * Packs the packages, installs them into empty projects outside the workspace, and does what the documentation says:
 * docs/guide.md in Vite and as a plain page, docs/train.md with a few small pictures, the README's example. Other libraries
 * come from npm's cache or registry, as they do for a user.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Browser, chromium, type Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { examplesOf, freePort, Project } from './examples.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = promisify(execFile);
const minutes = 60_000;

/** Stands for the checkout (`checkout/`), and holds the projects. */
let folder: string;
let env: NodeJS.ProcessEnv;
let browser: Browser;
const pages = [
  'README.md',
  ...(await readdir(`${root}docs`)).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
];
const examples = (await Promise.all(pages.map((page) => examplesOf(root + page)))).flat();
const inPages = examples.filter(({ kind }) => kind === 'page');

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tierwise-guide-'));
  await mkdir(join(folder, 'checkout'));
  await symlink(`${root}models`, join(folder, 'checkout/models'));
  await run(process.execPath, ['scripts/pack.js', join(folder, 'checkout/packed')], { cwd: root });
  env = {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|VITE|NODE_)/.test(name))),
    NO_COLOR: '1',
    TIERWISE: join(folder, 'checkout'),
    npm_config_prefer_offline: 'true',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
  };
  browser = await chromium.launch({
    executablePath: process.env['TIERWISE_CHROME'] ?? process.env['CHROME_PATH'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  });
}, 2 * minutes);

afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

/** A project with ports of its own, and where its site is: on the edge, and on Vite's server. */
async function project(name: string) {
  const [edge, vite] = [await freePort(), await freePort()];
  const ports = new Map([
    ['8700', `${edge}`],
    ['5173', `${vite}`],
  ]);
  return {
    follow: new Project(name, folder, env, ports),
    edge: `http://127.0.0.1:${edge}/`,
    vite: `http://127.0.0.1:${vite}/`,
  };
}

/** Opens a page; what fails in it fails the test. */
async function open(url: string): Promise<{ page: Page; said: string[] }> {
  const page = await browser.newPage();
  const said: string[] = [];
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(`failed: ${error.message}`));
  await page.goto(url);
  return { page, said };
}

/** Draws a 7 with the mouse and reads what the page says of it. */
async function drawSeven(url: string): Promise<{ page: Page; said: string[] }> {
  const opened = await open(url);
  const { page } = opened;
  await page.getByText('Draw a digit').waitFor();
  const box = (await page.locator('canvas').boundingBox())!;
  await page.mouse.move(box.x + 80, box.y + 70);
  await page.mouse.down();
  await page.mouse.move(box.x + 200, box.y + 70, { steps: 8 });
  await page.mouse.move(box.x + 130, box.y + 220, { steps: 8 });
  await page.mouse.up();
  await page.getByText(/^7, from the (device|edge), in [\d.]+ ms$/).waitFor();
  expect(opened.said.filter((line) => line.startsWith('failed'))).toEqual([]);
  return opened;
}

/** Gives the plain page a picture of a 7 and reads what it says of it. */
async function classifySeven(url: string, buffer: Buffer): Promise<Page> {
  const { page, said } = await open(url);
  await page.getByText('Choose a picture').waitFor();
  await page.locator('input').setInputFiles({ name: '7.png', mimeType: 'image/png', buffer });
  await page.getByText(/^7, from the (device|edge), in [\d.]+ ms$/).waitFor();
  expect(said.filter((line) => line.startsWith('failed'))).toEqual([]);
  return page;
}

test('every example says how it is followed', () => {
  const code = examples.filter(({ language }) => ['sh', 'ts', 'js', 'html'].includes(language));
  expect(code.filter(({ kind }) => kind === '').map(({ place }) => place)).toEqual([]);
  expect(inPages.length).toBeGreaterThan(1);
});

test('packages hold what their sources compile to, and nothing of the workspace', async () => {
  const packed = join(folder, 'checkout/packed');
  const files = await readdir(packed);
  expect(files.length).toBeGreaterThan(10);
  for (const file of files) {
    const { stdout } = await run('tar', ['tzf', join(packed, file)]);
    const names = stdout.trim().split('\n');
    expect(
      names.filter((name) => /\.test\.|tsbuildinfo|\/test\//.test(name)),
      file,
    ).toEqual([]);
    expect(names, file).toEqual(expect.arrayContaining(['package/LICENSE', 'package/README.md']));
    const { stdout: json } = await run('tar', ['xzOf', join(packed, file), 'package/package.json']);
    expect(json).not.toMatch(/@tierwise\/source|devDependencies/);
    const manifest: { exports: Record<string, string | Record<string, string>> } = JSON.parse(json);
    const targets = Object.values(manifest.exports).flatMap((target) =>
      typeof target === 'string' ? [target] : Object.values(target),
    );
    expect(names, file).toEqual(
      expect.arrayContaining(targets.map((target) => target.replace(/^\./, 'package'))),
    );
  }
});

test(
  'the guide works in Vite, on its development server and built',
  async () => {
    const { follow, edge, vite } = await project('vite');
    // What the guide and the README show beside the project, as one more page of it, with a 7 on its canvas.
    await mkdir(join(folder, 'vite/src'), { recursive: true });
    for (const [i, { text }] of inPages.entries())
      await writeFile(join(folder, `vite/src/example-${i}.ts`), text);
    const imports = inPages.map((_, i) => `await import('/src/example-${i}.ts');`).join('\n');
    await writeFile(
      join(folder, 'vite/examples.html'),
      `<canvas id="canvas" width="280" height="280"></canvas><output></output><script type="module">
        const pen = canvas.getContext('2d');
        pen.fillRect(0, 0, 280, 280);
        pen.strokeStyle = 'white';
        pen.lineWidth = 24;
        pen.stroke(new Path2D('M80 70H200L130 220'));
        ${imports}
        document.querySelector('output').textContent = 'done';
      </script>`,
    );
    await follow.follow(examples, async (time) => {
      if (time > 0) {
        await (await drawSeven(edge)).page.close();
        return;
      }
      const drawn = await drawSeven(vite);
      await drawn.page.close();
      const { page, said } = await open(`${vite}examples.html`);
      await page.getByText('done').waitFor();
      expect(said).toContainEqual(expect.stringMatching(/^7 device [\d.]+$/));
      expect(said).toContainEqual(expect.stringMatching(/^7 edge \d+ bytes sent$/));
      expect(said.filter((line) => line.startsWith('failed'))).toEqual([]);
      await page.close();
    });
  },
  3 * minutes,
);

test.each([
  ['bundler', 'preserve'],
  ['node16', 'node16'],
])('types of what was installed hold with moduleResolution %s', async (moduleResolution, module) => {
  const names = await readdir(join(folder, 'vite/node_modules/@tierwise'));
  await writeFile(join(folder, 'vite/globals.d.ts'), 'declare const canvas: HTMLCanvasElement;\n');
  // Everything else that can be imported, by name.
  const doors = await Promise.all(
    names.map(async (name) => {
      const path = join(folder, 'vite/node_modules/@tierwise', name, 'package.json');
      const { exports }: { exports: Record<string, unknown> } = JSON.parse(await readFile(path, 'utf8'));
      return Object.keys(exports)
        .filter((door) => !door.endsWith('.json'))
        .map((door) => `@tierwise/${name}${door.slice(1)}`);
    }),
  );
  const all = doors.flat();
  expect(all.length).toBeGreaterThan(12);
  await writeFile(
    join(folder, 'vite/doors.ts'),
    `${all.map((door, i) => `import * as door${i} from '${door}';`).join('\n')}\nexport const doors = [${all.map((_, i) => `door${i}`)}];\n`,
  );
  const common = { strict: true, noEmit: true, target: 'es2022', moduleResolution, module };
  const check = async (options: object, include: string[]) => {
    const file = join(folder, 'vite/tsconfig.json');
    await writeFile(file, JSON.stringify({ compilerOptions: { ...common, ...options }, include }));
    const done = run(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', file]);
    expect(
      await done.then(
        ({ stdout }) => stdout,
        ({ stdout }) => stdout,
      ),
    ).toBe('');
  };
  // A page: no Node, and the packages' own declarations are looked at too.
  await check({ lib: ['ES2022', 'ESNext.Disposable', 'DOM', 'DOM.Iterable'], types: [] }, [
    'src',
    'globals.d.ts',
  ]);
  await check(
    {
      lib: ['ES2023', 'ESNext.Disposable', 'DOM', 'DOM.Iterable'],
      types: ['node'],
      typeRoots: [`${root}node_modules/@types`],
      skipLibCheck: true,
    },
    ['doors.ts'],
  );
});

test(
  'the guide works as a plain page, and through webpack',
  async () => {
    const { follow, edge } = await project('plain');
    await follow.follow(examples, async () => {
      const seven = '<path d="M80 70H200L130 220" fill="none" stroke="white" stroke-width="24"/>';
      const picture = `<svg xmlns="http://www.w3.org/2000/svg" width="280" height="280"><rect width="280" height="280"/>${seven}</svg>`;
      const buffer = await sharp(Buffer.from(picture)).png().toBuffer();
      const page = await classifySeven(edge, buffer);
      const onItsThread = await page.evaluate(`(async () => {
        const { load } = await import('/tierwise/main.js');
        await using composite = await load('/models/lenet-mnist', { cache: 'default' });
        const picture = await createImageBitmap(document.querySelector('input').files[0]);
        return (await composite.classify(picture)).label;
      })()`);
      expect(onItsThread).toBe('7');
      await page.close();

      // The same script through webpack, as the guide says.
      const plain = join(folder, 'plain');
      const script = await readFile(join(plain, 'site/main.js'), 'utf8');
      await mkdir(join(plain, 'src'));
      await writeFile(
        join(plain, 'src/index.js'),
        script.replace('./tierwise/tierwise.js', '@tierwise/device'),
      );
      await run('npm', ['install', '--no-save', '--ignore-scripts', 'webpack@5.112.2', 'webpack-cli@6.0.1'], {
        cwd: plain,
        env,
      });
      await run('npm', ['pkg', 'set', 'type=module'], { cwd: plain, env });
      await run('npx', ['webpack', '--mode', 'production', '--output-path', 'site/webpack'], {
        cwd: plain,
        env,
      });
      const html = await readFile(join(plain, 'site/index.html'), 'utf8');
      await writeFile(
        join(plain, 'site/webpack.html'),
        html.replace('src="main.js"', 'src="webpack/main.js"'),
      );
      await classifySeven(`${edge}webpack.html`, buffer);
    });
  },
  2 * minutes,
);

test(
  'the guide to training works, from pictures to an edge',
  async () => {
    const { follow, edge } = await project('train');
    await mkdir(join(folder, 'train'), { recursive: true });
    await symlink(join(folder, 'vite/node_modules'), join(folder, 'train/node_modules'));
    await drawPictures(join(folder, 'train/photos'));
    let classes: unknown;
    await follow.follow(examples, async () => {
      classes = (await (await fetch(`${edge}models/cups/manifest.json`)).json()).labels;
    });
    expect(classes).toEqual(['cup', 'plate']);
  },
  3 * minutes,
);

/** Cups (rectangles) and plates (rings) at places that differ, forty of each. */
async function drawPictures(to: string): Promise<void> {
  for (const kind of ['cup', 'plate']) {
    await mkdir(join(to, kind), { recursive: true });
    for (let i = 1; i <= 40; i++) {
      const [x, y] = [20 + ((i * 7) % 20), 20 + ((i * 11) % 20)];
      const shape =
        kind === 'cup'
          ? `<rect x="${x - 10}" y="${y - 10}" width="${18 + (i % 5)}" height="20" fill="white"/>`
          : `<circle cx="${x}" cy="${y}" r="${9 + (i % 5)}" fill="none" stroke="white" stroke-width="3"/>`;
      const picture = `<svg xmlns="http://www.w3.org/2000/svg" width="60" height="60"><rect width="60" height="60"/>${shape}</svg>`;
      await sharp(Buffer.from(picture))
        .png()
        .toFile(join(to, kind, `${i}.png`));
    }
  }
}
