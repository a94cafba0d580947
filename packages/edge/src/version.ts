import { TierwiseError } from '@tierwise/core';
import type { Artifact, Engine, Manifest } from '@tierwise/plan';
import { createRuntime, type Runtime } from '@tierwise/runtime';
import type { Bundle } from './bundles.ts';
import { readKept } from './kept.ts';
import { edgePlaceId, modelsOf, type ServedModel } from './models.ts';

/** One version of a bundle that this edge answers for, now current or kept for pages that still have it. */
export interface Version {
  readonly key: string;
  readonly manifest: Manifest;
  readonly models: readonly ServedModel[];
  /** The bytes of an artifact of the manifest. @throws TierwiseError ARTIFACT_UNKNOWN when its copy is gone */
  read(artifact: Artifact): Promise<Uint8Array>;
}

/** A version as the library holds it. */
export interface Held extends Version {
  /** Where its address is, while it is current. */
  folder: string;
  readonly runtime: Runtime;
  /** In memory while it is current, or when there is no copy on disk. */
  bytes: Bundle['artifacts'] | undefined;
  /** Its copy on disk. */
  readonly path: string | undefined;
  /** When it stopped being current, ms since 1970. */
  retiredAt: number;
}

/** A version with a runtime of its own, so that it can be unloaded alone; nothing is loaded yet. */
export function hold(engine: Engine, parts: Omit<Held, 'models' | 'runtime' | 'read'>): Held {
  const { manifest } = parts;
  const read = async (artifact: Artifact): Promise<Uint8Array> => {
    const inMemory = held.bytes?.find((file) => file.artifact.digest === artifact.digest);
    if (inMemory !== undefined) return inMemory.bytes;
    try {
      return await readKept(held.path ?? '', artifact.file);
    } catch (cause) {
      throw new TierwiseError(
        'ARTIFACT_UNKNOWN',
        `the kept copy of ${artifact.file} of ${manifest.name} is gone`,
        {},
        { cause },
      );
    }
  };
  const runtime = createRuntime({
    place: edgePlaceId,
    engines: [engine],
    // Only the network runs here.
    artifact: () => read(manifest.main.artifact),
    now: () => performance.now(),
  });
  const held: Held = { ...parts, runtime, read, models: modelsOf(manifest, runtime) };
  return held;
}
