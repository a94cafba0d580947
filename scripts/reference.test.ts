import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const folder = fileURLToPath(new URL('reference/', import.meta.url));

/** The part of TypeDoc's JSON that is used. */
interface Reflection {
  readonly name: string;
  readonly variant: string;
  readonly comment?: unknown;
  readonly children?: readonly Reflection[];
  readonly signatures?: readonly Reflection[];
  readonly type?: { readonly declaration?: Reflection };
}

/** A comment at the thing itself, at a form it is called in, or at the type that it is of. */
const hasComment = ({ comment, signatures = [], type }: Reflection): boolean =>
  comment !== undefined ||
  signatures.some(hasComment) ||
  Boolean(type?.declaration?.signatures?.some(hasComment));

test('the reference has every door of every package', async () => {
  const { entryPoints }: { entryPoints: readonly string[] } = JSON.parse(
    await readFile(join(folder, 'typedoc.json'), 'utf8'),
  );
  const rooms = await readdir(join(folder, '../../packages'));
  const doors = rooms.map(async (room) => {
    const path = `../../packages/${room}`;
    const { exports }: { exports: Record<string, string | Record<string, string>> } = JSON.parse(
      await readFile(join(folder, path, 'package.json'), 'utf8'),
    );
    return Object.values(exports).flatMap((door) =>
      typeof door === 'string' ? [] : [join(path, door['@tierwise/source'] ?? '')],
    );
  });
  expect([...entryPoints].sort()).toEqual((await Promise.all(doors)).flat().sort());
});

test('the reference is written without a warning, and all that a package exports says what it is', async () => {
  const out = await mkdtemp(join(tmpdir(), 'tierwise-reference-'));
  try {
    const typedoc = createRequire(join(folder, 'package.json')).resolve('typedoc');
    const program = join(dirname(typedoc), '../bin/typedoc');
    const json = join(out, 'reference.json');
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      [program, '--options', join(folder, 'typedoc.json'), '--out', join(out, 'pages'), '--json', json],
      { cwd: folder },
    );
    expect(stdout + stderr).toBe('');
    const { children = [] }: Reflection = JSON.parse(await readFile(json, 'utf8'));
    expect(children.length).toBeGreaterThan(12);
    const silent = children.flatMap((door) => {
      const said = new Set((door.children ?? []).filter(hasComment).map(({ name }) => name));
      return (
        (door.children ?? [])
          .filter(({ name, variant }) => variant === 'declaration' && !said.has(name))
          // A type and the schema that it is inferred from are one thing.
          .filter(({ name }) => !said.has(`${name}Schema`) && !said.has(name.replace(/Schema$/, '')))
          .map(({ name }) => `${door.name}: ${name}`)
      );
    });
    expect(silent).toEqual([]);
    expect(await readFile(join(out, 'pages/index.html'), 'utf8')).toContain('Tierwise');
  } finally {
    await rm(out, { recursive: true, force: true });
  }
});
