import { execFile } from 'node:child_process';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

test('the pictures in docs/ are what the code is', async () => {
  const done = await promisify(execFile)(process.execPath, ['scripts/pictures.js', '--check'], { cwd: root });
  expect(done.stderr).toBe('');
});

/** GitHub's name of a heading, for links to it. */
const anchor = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

const rooms = (await readdir(`${root}packages`)).map((room) => `packages/${room}/README.md`);
const docs = (await readdir(`${root}docs`))
  .filter((name) => name.endsWith('.md'))
  .map((name) => `docs/${name}`);

test.each(['README.md', 'CONTRIBUTING.md', ...docs, ...rooms])('links of %s lead somewhere', async (page) => {
  const markdown = await readFile(root + page, 'utf8');
  const prose = markdown.replace(/^```.*?^```/gms, '').replace(/`[^`\n]*`/g, '');
  for (const [, link = ''] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^https?:/.test(link)) continue;
    const [path = '', section] = link.split('#');
    const target = path === '' ? root + page : resolve(join(root, page), '..', path);
    const found = await stat(target).catch(() => undefined);
    expect(found, `${page} links to ${link}`).toBeDefined();
    if (section === undefined) continue;
    const headings = [...(await readFile(target, 'utf8')).matchAll(/^#+ (.+)$/gm)];
    expect(
      headings.map(([, heading = '']) => anchor(heading)),
      `${page} links to ${link}`,
    ).toContain(section);
  }
});
