import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TierwiseError } from '@tierwise/core';
import { isAbsent, unreadable } from './packed.ts';
import type { Tally } from './warnings.ts';

/** A file that should be a picture of class `label`. */
export interface ListedPicture {
  /** Within the data set's folder, for messages. */
  readonly name: string;
  readonly path: string;
  readonly label: number;
}

/** Which files of a folder are the pictures of which classes. */
export interface ClassFolders {
  readonly classes: readonly string[];
  readonly train: readonly ListedPicture[];
  readonly test: readonly ListedPicture[];
}

/** Of every class without a test folder this share, rounded down but at least one, is held for testing. */
const testShare = 0.2;

/**
 * Lists the pictures of `folder`: `train/<class>/*` and `test/<class>/*`, or `<class>/*`, of which a share chosen by
 * `splitSeed` and the files' names is for testing; more files leave most of that choice as it was. Classes are in the
 * order of their names. Hidden files are passed over; what else is not read is tallied.
 * @throws TierwiseError DATA_MISSING without class folders; DATA_CORRUPT with fewer than two classes, an empty one,
 *   a test class that is no training class; FILE_UNREADABLE
 */
export async function listClassFolders(
  folder: string,
  splitSeed: number,
  tally: Tally,
): Promise<ClassFolders> {
  const { folders, files } = await visible(folder);
  for (const file of files) tally.add('not-read', file);
  if (folders.length === 0) {
    throw new TierwiseError(
      'DATA_MISSING',
      `${folder}: there are no IDX files, no CIFAR-10 batches and no class folders in it`,
      { data: folder },
    );
  }
  const isHalved = folders.includes('train') && folders.includes('test');
  if (!isHalved) {
    if (folders.includes('train') && (await visible(join(folder, 'train'))).files.length === 0) {
      throw new TierwiseError('DATA_MISSING', `${folder}: there is a train/ but no test/ beside it`, {
        data: folder,
      });
    }
    const classes = checkClasses(folder, folders, tally);
    const all = await listHalf(folder, '', classes, tally);
    return { classes, ...splitEach(folder, classes, all, splitSeed) };
  }
  for (const other of folders) {
    if (other !== 'train' && other !== 'test') tally.add('not-read', `${other}/`);
  }
  const [train, test] = [await visible(join(folder, 'train')), await visible(join(folder, 'test'))];
  for (const [half, found] of Object.entries({ train, test })) {
    for (const file of found.files) tally.add('not-read', `${half}/${file}`);
  }
  const classes = checkClasses(join(folder, 'train'), train.folders, tally);
  const strange = test.folders.find((name) => !classes.includes(name));
  if (strange !== undefined) {
    throw corrupt(
      join(folder, 'test', strange),
      `there is no train/${strange}; classes are named alike in both`,
    );
  }
  return {
    classes,
    train: await listHalf(folder, 'train/', classes, tally),
    test: await listHalf(folder, 'test/', classes, tally, test.folders),
  };
}

function corrupt(file: string, what: string): TierwiseError {
  return new TierwiseError('DATA_CORRUPT', `${file}: ${what}`, { file });
}

/** Names in `folder` that do not begin with a dot, in order; links count as what they lead to. */
async function visible(folder: string): Promise<{ folders: string[]; files: string[] }> {
  try {
    const folders: string[] = [];
    const files: string[] = [];
    const entries = (await readdir(folder, { withFileTypes: true })).filter(
      ({ name }) => !name.startsWith('.'),
    );
    for (const entry of entries) {
      const isFolder = entry.isSymbolicLink()
        ? await stat(join(folder, entry.name)).then(
            (found) => found.isDirectory(),
            (error) => !isAbsent(error) && Promise.reject(error),
          )
        : entry.isDirectory();
      (isFolder ? folders : files).push(entry.name);
    }
    return { folders: folders.sort(), files: files.sort() };
  } catch (error) {
    throw unreadable(folder, error);
  }
}

function checkClasses(folder: string, classes: readonly string[], tally: Tally): readonly string[] {
  if (classes.length < 2) {
    throw corrupt(
      folder,
      classes.length === 0
        ? 'there is no class folder in it'
        : `there is one class only, ${classes[0]}: nothing can be told apart`,
    );
  }
  const plain = (name: string) =>
    name
      .trim()
      .toLowerCase()
      .replace(/[\s_-]+/g, ' ');
  const seen = new Set<string>();
  for (const name of classes) {
    if (seen.has(plain(name))) tally.add('alike', name);
    seen.add(plain(name));
  }
  return classes;
}

/** Pictures of `half` ("train/", "test/" or ""); `there` are the class folders that it has, all by default. */
async function listHalf(
  folder: string,
  half: string,
  classes: readonly string[],
  tally: Tally,
  there: readonly string[] = classes,
): Promise<ListedPicture[]> {
  const listed: ListedPicture[] = [];
  for (const [label, name] of classes.entries()) {
    if (!there.includes(name)) continue;
    const path = join(folder, half, name);
    const found = await visible(path);
    for (const nested of found.folders) tally.add('not-read', `${half}${name}/${nested}/`);
    if (found.files.length === 0) throw corrupt(path, 'this class is empty');
    for (const file of found.files)
      listed.push({ name: `${half}${name}/${file}`, path: join(path, file), label });
  }
  return listed;
}

function splitEach(
  folder: string,
  classes: readonly string[],
  all: readonly ListedPicture[],
  seed: number,
): { train: ListedPicture[]; test: ListedPicture[] } {
  const train: ListedPicture[] = [];
  const test: ListedPicture[] = [];
  const rank = ({ name }: ListedPicture) => createHash('sha256').update(`${seed}/${name}`).digest('hex');
  for (const [label, name] of classes.entries()) {
    const own = all.filter((picture) => picture.label === label);
    if (own.length < 2) {
      throw corrupt(
        join(folder, name),
        'this class has one picture, and without train/ and test/ it needs two',
      );
    }
    const ranked = own.map((picture) => ({ picture, rank: rank(picture) }));
    ranked.sort((a, b) => (a.rank < b.rank ? -1 : 1));
    const held = new Set(
      ranked.slice(0, Math.max(1, Math.floor(own.length * testShare))).map(({ picture }) => picture),
    );
    for (const picture of own) (held.has(picture) ? test : train).push(picture);
  }
  return { train, test };
}
