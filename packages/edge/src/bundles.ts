import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { readProgram } from '@tierwise/binary';
import { sha256Hex, TierwiseError, toTierwiseError } from '@tierwise/core';
import { type Artifact, type Manifest, parseManifest } from '@tierwise/plan';

/** One `NAME.tierwise` folder, whole and checked. Its bytes are in memory: what is on disk later does not count. */
export interface Bundle {
  /** NAME, as addresses have it. */
  readonly folder: string;
  readonly manifest: Manifest;
  /** SHA-256 of the manifest, which names every file by digest: equal keys, equal bundles. */
  readonly key: string;
  /** Each artifact of the manifest with its bytes. */
  readonly artifacts: readonly { readonly artifact: Artifact; readonly bytes: Uint8Array }[];
}

/** A folder that cannot be served, and why. */
export interface RefusedBundle {
  readonly folder: string;
  readonly error: TierwiseError;
}

const suffix = '.tierwise';
/** Every folder that may be a bundle, in the order of their names. @throws TierwiseError FILE_UNREADABLE */
export async function listBundles(models: string): Promise<string[]> {
  try {
    const entries = await readdir(models);
    return entries.filter((name) => name.endsWith(suffix) && name.length > suffix.length).sort();
  } catch (cause) {
    throw unreadable(models, cause);
  }
}

/** Far above any manifest with 100,000 labels of usual length; keeps a wrong file from filling memory. */
const maxManifestBytes = 64 * 2 ** 20;

/**
 * Reads every `NAME.tierwise` folder of `models`, in the order of their names. A broken one, or one whose model
 * has the name of an earlier one, is among `refused` and does not hinder the others.
 * @throws TierwiseError FILE_UNREADABLE when `models` itself cannot be listed
 */
export async function readBundles(
  models: string,
): Promise<{ readonly bundles: readonly Bundle[]; readonly refused: readonly RefusedBundle[] }> {
  const bundles: Bundle[] = [];
  const refused: RefusedBundle[] = [];
  for (const folder of await listBundles(models)) {
    try {
      const bundle = await readBundle(join(models, folder), folder);
      const taken = bundles.find((other) => sharesName(other.manifest, bundle.manifest));
      if (taken !== undefined) {
        throw new TierwiseError(
          'MANIFEST_INVALID',
          `${folder}: the model name ${bundle.manifest.name} is taken by ${taken.folder}${suffix}`,
          { folder, model: bundle.manifest.name },
        );
      }
      bundles.push(bundle);
    } catch (error) {
      refused.push({ folder: folder.slice(0, -suffix.length), error: toTierwiseError(error) });
    }
  }
  return { bundles, refused };
}

/** A bundle is offered as NAME and NAME.rest. */
function sharesName(a: Manifest, b: Manifest): boolean {
  return a.name === b.name || a.name === `${b.name}.rest` || `${a.name}.rest` === b.name;
}

/**
 * Reads one bundle and checks every file against the manifest. `label` is what messages call it.
 * @throws TierwiseError FILE_UNREADABLE, MANIFEST_INVALID, DIGEST_MISMATCH, PROGRAM_CORRUPT
 */
export async function readBundle(path: string, label = path): Promise<Bundle> {
  const manifest = await readManifest(path, label);
  const artifacts = await Promise.all(
    [manifest.branch.artifact, manifest.main.artifact].map(async (artifact) => {
      const name = `${label}/${artifact.file}`;
      const bytes = await read(join(path, artifact.file), name);
      const found = await sha256Hex(bytes);
      if (bytes.length !== artifact.bytes || found !== artifact.digest) {
        throw new TierwiseError(
          'DIGEST_MISMATCH',
          `${name}: ${bytes.length} bytes with digest ${found}, the manifest says ${artifact.bytes} with ${artifact.digest}`,
          { file: name, expected: artifact.digest, found },
        );
      }
      // What the edge runs itself is loaded soon; what it only hands out would fail in every page instead.
      if (artifact.engine === 'binary') readProgram(bytes, name);
      return { artifact, bytes };
    }),
  );
  return { folder: basename(path, suffix), manifest, key: await keyOf(manifest), artifacts };
}

/** The manifest of one bundle. @throws TierwiseError FILE_UNREADABLE, MANIFEST_INVALID */
export async function readManifest(path: string, label = path): Promise<Manifest> {
  const where = `${label}/manifest.json`;
  return parseManifest(parseJson(await read(join(path, 'manifest.json'), where), where), where);
}

export function keyOf(manifest: Manifest): Promise<string> {
  return sha256Hex(new TextEncoder().encode(JSON.stringify(manifest)));
}

function parseJson(bytes: Uint8Array, where: string): unknown {
  if (bytes.length > maxManifestBytes) {
    throw new TierwiseError('MANIFEST_INVALID', `${where} has ${bytes.length} bytes`, { file: where });
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new TierwiseError('MANIFEST_INVALID', `${where} is not JSON`, { file: where }, { cause });
  }
}

async function read(path: string, where: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw unreadable(where, cause);
  }
}

function unreadable(where: string, cause: unknown): TierwiseError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
  const reason = code === 'ENOTDIR' ? `${code}, a bundle is a folder NAME${suffix}, not a file` : code;
  return new TierwiseError(
    'FILE_UNREADABLE',
    `${where} cannot be read: ${reason}`,
    { file: where },
    { cause },
  );
}
