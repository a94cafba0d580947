import { sha256Hex, TierwiseError, toTierwiseError } from '@tierwise/core';
import type { Arrival, Digest, Engine, LoadedSection, Section } from '@tierwise/plan';
import { orAborted } from './abort.ts';

/**
 * Gives an artifact, from memory, a disk, a server: its bytes, or what arrives of them. `signal` is aborted when nobody
 * needs them any more.
 */
export type ArtifactSource = (
  digest: Digest,
  options: { readonly signal: AbortSignal },
) => Promise<Uint8Array | Arrival>;

/** The sections that are ready to run in one place. */
export interface Sections {
  /**
   * Loads `section` once, however many ask at the same time; Plans that share a piece share its engine. A load
   * that failed is tried again by the next caller. `signal` ends the caller's wait, not the load.
   * @throws TierwiseError ENGINE_MISSING, DIGEST_MISMATCH, DISPOSED, CANCELLED, or what source and engine throw
   */
  load(section: Section, signal?: AbortSignal): Promise<LoadedSection>;
  /** Ends loads under way and frees what was loaded. No section may be running. Idempotent. */
  dispose(): Promise<void>;
}

/** Resolves when all of the artifact is there and has the digest that the section names. */
async function verify({ bytes, reached }: Arrival, section: Section): Promise<void> {
  await reached(bytes.length);
  const digest = await sha256Hex(bytes);
  if (digest !== section.artifact) {
    throw new TierwiseError(
      'DIGEST_MISMATCH',
      `artifact of section ${section.id}: its ${bytes.length} bytes have digest ${digest}, not ${section.artifact}`,
      { section: section.id, expected: section.artifact, found: digest },
    );
  }
}

export function createSections(engines: readonly Engine[], artifact: ArtifactSource): Sections {
  const loads = new Map<string, Promise<LoadedSection>>();
  const lifetime = new AbortController();

  async function begin(section: Section): Promise<LoadedSection> {
    const engine = engines.find((candidate) => candidate.name === section.engine);
    if (engine === undefined) {
      throw new TierwiseError(
        'ENGINE_MISSING',
        `section ${section.id} needs the engine "${section.engine}", and ${section.place} has none`,
        { section: section.id, engine: section.engine },
      );
    }
    const { signal } = lifetime;
    const found = await artifact(section.artifact, { signal });
    const arrival = found instanceof Uint8Array ? { bytes: found, reached: async () => undefined } : found;
    if (engine.loadArriving === undefined) {
      await verify(arrival, section);
      return engine.load(arrival.bytes, section, { signal });
    }
    const [verified, loaded] = await Promise.allSettled([
      verify(arrival, section),
      engine.loadArriving(arrival, section),
    ]);
    // What is wrong with bytes that are not the right ones is not worth telling.
    if (verified.status === 'fulfilled' && loaded.status === 'fulfilled') return loaded.value;
    if (loaded.status === 'fulfilled') await loaded.value.dispose();
    throw verified.status === 'rejected' ? verified.reason : (loaded as PromiseRejectedResult).reason;
  }

  return {
    async load(section, signal) {
      if (lifetime.signal.aborted) throw new TierwiseError('DISPOSED', 'the runtime has been disposed');
      const { engine, artifact, inputs, outputs } = section;
      const key = JSON.stringify([engine, artifact, inputs, outputs]);
      let loading = loads.get(key);
      if (loading === undefined) {
        loading = begin(section).catch((error: unknown) => {
          loads.delete(key);
          throw toTierwiseError(error);
        });
        loads.set(key, loading);
      }
      return orAborted(loading, signal);
    },
    async dispose() {
      lifetime.abort(new TierwiseError('DISPOSED', 'the runtime has been disposed'));
      const ended = await Promise.allSettled(loads.values());
      loads.clear();
      await Promise.all(
        ended.map((load) => (load.status === 'fulfilled' ? load.value.dispose() : undefined)),
      );
    },
  };
}
