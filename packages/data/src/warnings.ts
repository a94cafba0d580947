import type { DatasetWarning } from './dataset.ts';

type Kind = DatasetWarning['kind'];

/** What a warning says, after its count: of one, of several. */
const texts: Readonly<Record<Kind, readonly [string, string]>> = {
  'part-missing': ['part is not there', 'parts are not there'],
  'not-decoded': [
    'file cannot be decoded as a picture and is left out',
    'files cannot be decoded as pictures and are left out',
  ],
  'not-read': [
    'file or folder lies where no picture of a class does and is not read',
    'files or folders lie where no pictures of a class do and are not read',
  ],
  animated: [
    'picture is animated; its first frame is used',
    'pictures are animated; their first frames are used',
  ],
  reduced: [
    'picture has 16 bits or is CMYK; it is taken as 8-bit sRGB',
    'pictures have 16 bits or are CMYK; they are taken as 8-bit sRGB',
  ],
  duplicate: [
    'picture lies, byte for byte, in another class too',
    'pictures lie, byte for byte, in another class too',
  ],
  leak: [
    'test picture is, byte for byte, a training picture too',
    'test pictures are, byte for byte, training pictures too',
  ],
  alike: [
    'class is named like another but for case and spaces',
    'classes are named like others but for case and spaces',
  ],
  resized: ['picture is resized', 'pictures are resized'],
  untested: ['class has no test picture', 'classes have no test pictures'],
};

/** How many of a kind a message names. */
const named = 3;

/** Counts what is worth a warning and keeps the first few names of each kind. */
export class Tally {
  readonly #found = new Map<Kind, { count: number; names: string[] }>();

  /** `count` things that go by one name count as such. */
  add(kind: Kind, name: string, count = 1): void {
    const found = this.#found.get(kind) ?? { count: 0, names: [] };
    this.#found.set(kind, found);
    found.count += count;
    if (found.names.length < named && !found.names.includes(name)) found.names.push(name);
  }

  /** Each message begins with `where`. */
  warnings(where: string): DatasetWarning[] {
    return [...this.#found].map(([kind, { count, names }]) => {
      const text = texts[kind][count === 1 ? 0 : 1];
      const rest = kind !== 'resized' && count > names.length ? ', ...' : '';
      return {
        kind,
        count,
        message: `${where}: ${count.toLocaleString('en')} ${text}: ${names.join(', ')}${rest}`,
      };
    });
  }
}
