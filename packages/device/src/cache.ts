import type { LoadOptions } from './api.ts';
import { manifestUrl } from './bundle.ts';
import { artifactKey, artifactsOf, type KeptManifest, manifestsOf, openStore, partKey } from './store.ts';

/** A version of a bundle of which something is kept here. */
export interface KeptVersion {
  /** The first 12 digits of its manifest's digest. */
  readonly version: string;
  readonly name: string;
  /** When the server last offered it. */
  readonly met: Date;
  /** Its files that are here, and the bytes that they take. */
  readonly files: readonly string[];
  readonly bytes: number;
}

/** The versions of the bundle at `url` of which something is kept, newest first. */
export async function versions(
  url: string | URL,
  { cache = 'default' }: Pick<LoadOptions, 'cache'> = {},
): Promise<KeptVersion[]> {
  const store = await openStore(cache);
  const found = await manifestsOf(store, manifestUrl(url).href);
  return Promise.all(
    found.map(async ({ version, met, manifest }) => {
      const all = artifactsOf(manifest);
      const here = await Promise.all(all.map(({ digest }) => store.match(artifactKey(digest))));
      const kept = all.filter((_, i) => here[i] !== undefined);
      return {
        version,
        name: manifest.name,
        met: new Date(met),
        files: kept.map(({ file }) => file),
        bytes: kept.reduce((sum, { bytes }) => sum + bytes, 0),
      };
    }),
  );
}

/** Deletes what is kept of the bundle at `url`, or of one version, but for files that another bundle shares. */
export async function forget(
  url: string | URL,
  { cache = 'default', version }: Pick<LoadOptions, 'cache'> & { readonly version?: string } = {},
): Promise<void> {
  const store = await openStore(cache);
  const { href } = manifestUrl(url);
  const all = await manifestsOf(store);
  const goes = (one: KeptManifest) => one.url === href && (version === undefined || one.version === version);
  const digestsOf = (some: KeptManifest[]) =>
    new Set(some.flatMap(({ manifest }) => artifactsOf(manifest).map(({ digest }) => digest)));
  const stay = digestsOf(all.filter((one) => !goes(one)));
  const leaving = all.filter(goes);
  for (const { key } of leaving) await store.delete(key);
  for (const digest of digestsOf(leaving)) {
    if (stay.has(digest)) continue;
    await store.delete(artifactKey(digest));
    await store.delete(partKey(digest));
  }
}
