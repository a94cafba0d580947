import { readdir, readFile } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

/** The rooms in the order of the arrows: a room may use rooms of earlier rows, never one of its own row or a later. */
const rows = [
  ['core'],
  ['graph', 'wire', 'plan', 'relay', 'data', 'report'],
  ['binary'],
  ['runtime'],
  ['ort'],
  ['train', 'device', 'edge'],
  ['bench'],
  ['cli'],
];
/** Rooms that run in a page and in a server alike: no Node API. */
const anywhere = ['core', 'graph', 'wire', 'plan', 'report', 'binary', 'runtime', 'device'];
/** Rooms that a page may load. `graph` is not one: its protobuf code is as large as the budget of a whole page. */
const forPages = ['core', 'wire', 'plan', 'binary', 'runtime', 'device'];

const root = fileURLToPath(new URL('..', import.meta.url));

interface PackageJson {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}
interface TsConfig {
  readonly compilerOptions?: { readonly types?: readonly string[] };
  readonly references?: readonly { readonly path: string }[];
}

const readJson = async <T>(path: string) => JSON.parse(await readFile(root + path, 'utf8')) as T;

/** Folders below `parent` that are packages. */
async function packagesIn(parent: string): Promise<string[]> {
  const entries = await readdir(root + parent, { withFileTypes: true }).catch(() => []);
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  const has = await Promise.all(
    names.map((name) => readFile(`${root}${parent}/${name}/package.json`).then(Boolean, () => false)),
  );
  return names.filter((_, i) => has[i]);
}

/** Rooms that a package uses: when it runs, or where it is developed (`cli` finds `bench` only there). */
const roomsUsed = ({ dependencies = {}, devDependencies = {} }: PackageJson) =>
  Object.keys({ ...dependencies, ...devDependencies })
    .filter((name) => name.startsWith('@tierwise/'))
    .map((name) => name.slice('@tierwise/'.length));

const rooms = [...(await packagesIn('packages')), 'bench'];
/** Where a room is; the benchmarks are no package that anybody installs. */
const folderOf = (room: string) => (room === 'bench' ? room : `packages/${room}`);
const apps = await packagesIn('apps');

test('every package is a room with a place in the order, and tsc builds it', async () => {
  expect([...rooms].sort()).toEqual(rows.flat().sort());
  const { references = [] } = await readJson<TsConfig>('tsconfig.json');
  expect(references.map(({ path }) => path)).toEqual(expect.arrayContaining(rooms.map(folderOf)));
});

describe.each(rooms)('%s', (room) => {
  test('uses only rooms of earlier rows', async () => {
    const manifest = await readJson<PackageJson>(`${folderOf(room)}/package.json`);
    expect(manifest.name).toBe(`@tierwise/${room}`);
    const own = rows.findIndex((row) => row.includes(room));
    const allowed = rows.slice(0, own).flat();
    expect(roomsUsed(manifest).filter((used) => !allowed.includes(used))).toEqual([]);
  });

  test('tsconfig.json refers to what package.json depends on', async () => {
    const manifest = await readJson<PackageJson>(`${folderOf(room)}/package.json`);
    const { references = [] } = await readJson<TsConfig>(`${folderOf(room)}/tsconfig.json`);
    const expected = roomsUsed(manifest).map((used) => relative(folderOf(room), folderOf(used)));
    expect(references.map(({ path }) => path).sort()).toEqual(expected.sort());
  });
});

describe.each(anywhere)('%s runs anywhere', (room) => {
  test('its sources import no Node module', async () => {
    const files = (await readdir(`${root}packages/${room}/src`, { recursive: true })).filter(
      (file) => /\.[jt]s$/.test(file) && !/\.test\.[jt]s$/.test(file),
    );
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) {
      const source = await readFile(`${root}packages/${room}/src/${file}`, 'utf8');
      const imported = [...source.matchAll(/\b(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)].map(
        (match) => match[1]!,
      );
      const ofNode = imported.filter((name) => name.startsWith('node:') || builtinModules.includes(name));
      expect(ofNode, `${room}/src/${file}`).toEqual([]);
    }
  });

  test('its compiler knows no Node globals', async () => {
    const { compilerOptions } = await readJson<TsConfig>(`${folderOf(room)}/tsconfig.json`);
    expect(compilerOptions?.types).toEqual([]);
  });
});

test.each(apps)('the page apps/%s loads only rooms for pages', async (app) => {
  const manifest = await readJson<PackageJson>(`apps/${app}/package.json`);
  const used = roomsUsed(manifest);
  expect(used.filter((room) => !forPages.includes(room))).toEqual([]);
});
