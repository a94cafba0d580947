import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TierwiseError, toTierwiseError } from '@tierwise/core';
import type { Artifact, Engine } from '@tierwise/plan';
import type { FastifyBaseLogger } from 'fastify';
import { type Bundle, listBundles, type RefusedBundle, readBundles } from './bundles.ts';
import { forget, keep, listKept, markCurrent } from './kept.ts';
import type { ServedModel } from './models.ts';
import { type Held, hold, type Version } from './version.ts';

/** Which version of a model: that of a Plan, by its id, or one by its number; the current one when neither is given. */
export interface WantedVersion {
  readonly plan?: string | undefined;
  readonly version?: string | undefined;
}

export interface LibraryOptions {
  readonly models: string;
  /** How long a version is kept after another one has taken its place; 0: not at all. */
  readonly keepMs: number;
  readonly engine: Engine;
  readonly log: FastifyBaseLogger;
}

/** How often a current version notes on disk that it is: what a killed process can lose of the time to keep it. */
const noteIntervalMs = 3_600_000;

/**
 * The bundles of a models folder, each current one loaded, and those that were current before, loaded when somebody
 * asks. `reload` follows the folder; no request notices, because a version that is taken is never unloaded under it.
 */
export class Library {
  readonly #options: LibraryOptions;
  #current: readonly Held[] = [];
  #old: readonly Held[] = [];
  #refused: readonly RefusedBundle[] = [];
  /** Of the folder as it was last loaded, and as it was last looked at. */
  #signature = '';
  #seen = '';
  #notedAt = 0;
  /** The tail of the reloads: one at a time. */
  #work: Promise<void> = Promise.resolve();

  constructor(options: LibraryOptions) {
    this.#options = options;
  }

  get current(): readonly Version[] {
    return this.#current;
  }

  /** Kept for pages that still have them, the latest first. */
  get old(): readonly Version[] {
    return this.#old;
  }

  get refused(): readonly RefusedBundle[] {
    return this.#refused;
  }

  /** What a folder under /models holds now. */
  inFolder(folder: string): Version | undefined {
    return this.#current.find((held) => held.folder === folder);
  }

  /**
   * The model of that name: the current version, or the one of a Plan (by its id) or of a version.
   * @throws TierwiseError MODEL_UNKNOWN, with the words that clients of the protocol look for; ARTIFACT_UNKNOWN
   *   when a device's Plan belongs to a version that is not kept any more
   */
  model(name: string, { plan, version }: WantedVersion = {}): ServedModel {
    const own = this.versionsOf(name);
    const found = own.find(
      (model) =>
        (plan === undefined || model.plan.id === plan) &&
        (version === undefined || model.version === version),
    );
    if (plan !== undefined && found === undefined && own.length > 0) {
      throw new TierwiseError(
        'ARTIFACT_UNKNOWN',
        `this edge has replaced model ${name} and no longer keeps the version of Plan ${plan.slice(0, 128)}: load the model again`,
        { model: name, plan: plan.slice(0, 128) },
      );
    }
    const isCurrent = found !== undefined && this.#current.some((held) => held.models.includes(found));
    if (found !== undefined && (isCurrent || plan !== undefined || version !== undefined)) return found;
    const shown = name.slice(0, 128);
    const which = version === undefined ? '' : ` version ${version.slice(0, 32)}`;
    throw new TierwiseError('MODEL_UNKNOWN', `Request for unknown model: '${shown}'${which} is not found`, {
      model: shown,
    });
  }

  /** Every version of the model of that name, the current one first. */
  versionsOf(name: string): ServedModel[] {
    const all = [...this.#current, ...this.#old].flatMap(({ models }) => models);
    const own = all.filter((model) => model.name === name);
    return own.filter((model, i) => own.findIndex(({ version }) => version === model.version) === i);
  }

  /** The artifact with that digest, of any version. @throws TierwiseError ARTIFACT_UNKNOWN */
  async artifact(digest: string): Promise<{ readonly bytes: Uint8Array; readonly artifact: Artifact }> {
    for (const version of [...this.#current, ...this.#old]) {
      const { branch, main } = version.manifest;
      const artifact = [branch.artifact, main.artifact].find((candidate) => candidate.digest === digest);
      if (artifact !== undefined) return { bytes: await version.read(artifact), artifact };
    }
    throw new TierwiseError(
      'ARTIFACT_UNKNOWN',
      `this edge has no artifact with digest ${digest.slice(0, 64)}`,
      {
        digest: digest.slice(0, 64),
      },
    );
  }

  /**
   * Looks at the folder and follows it: new and changed bundles are loaded, then take the place of the old, which
   * are kept. A bundle that is broken, half written perhaps, leaves the version before it where it is.
   * @throws TierwiseError FILE_UNREADABLE when the folder cannot be listed; everything stays as it is then
   */
  reload(): Promise<void> {
    return this.#inTurn(async () => this.#reload(await signatureOf(this.#options.models)));
  }

  /** The same, but what has changed since the last look is left alone: somebody may be copying files. */
  look(): Promise<void> {
    return this.#inTurn(async () => {
      const signature = await signatureOf(this.#options.models);
      const settled = signature === this.#seen;
      this.#seen = signature;
      await this.#reload(settled ? signature : this.#signature);
    });
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#work.then(work);
    this.#work = turn.catch(() => undefined);
    return turn;
  }

  /** Waits for what is under way and unloads everything. */
  async dispose(): Promise<void> {
    await this.#work;
    await this.#note();
    await Promise.all([...this.#current, ...this.#old].map(({ runtime }) => runtime.dispose()));
  }

  async #reload(signature: string): Promise<void> {
    const { keepMs } = this.#options;
    if (this.#signature === '' && keepMs > 0) this.#old = await this.#readKept();
    if (signature !== this.#signature) {
      await this.#follow();
      this.#signature = signature;
    }
    if (Date.now() - this.#notedAt > noteIntervalMs) await this.#note();
    const expired = this.#old.filter(({ retiredAt }) => Date.now() - retiredAt >= keepMs);
    if (expired.length === 0) return;
    this.#old = this.#old.filter((held) => !expired.includes(held));
    for (const { path, runtime, manifest } of expired) {
      this.#options.log.info({ model: manifest.name }, 'an old version is no longer kept');
      await runtime.dispose();
      if (path !== undefined) await forget(path);
    }
  }

  /** What earlier processes kept. */
  async #readKept(): Promise<Held[]> {
    const { models, engine, log } = this.#options;
    const kept = await listKept(models);
    return kept.flatMap(({ lastCurrent: retiredAt, ...found }) => {
      try {
        return hold(engine, { ...found, folder: '', bytes: undefined, retiredAt });
      } catch (error) {
        log.warn(`${found.path} cannot be answered for: ${toTierwiseError(error).message}`);
        return [];
      }
    });
  }

  async #follow(): Promise<void> {
    const { models, log } = this.#options;
    const { bundles, refused } = await readBundles(models);
    const nowRefused = [...refused];
    const current: Held[] = [];
    for (const bundle of bundles) {
      try {
        current.push(await this.#load(bundle));
      } catch (error) {
        nowRefused.push({ folder: bundle.folder, error: toTierwiseError(error) });
      }
    }
    for (const { folder, error } of nowRefused) {
      const before = this.#current.find((held) => held.folder === folder);
      // A name may have moved to another folder meanwhile.
      if (before !== undefined && !current.some((held) => held.manifest.name === before.manifest.name)) {
        current.push(before);
      }
      if (this.#refused.some((known) => known.error.message === error.message)) continue;
      const instead = before === undefined ? '' : ' (the version before it still is)';
      log.warn({ folder, code: error.code }, `${folder}.tierwise is not served${instead}: ${error.message}`);
    }
    for (const { manifest } of current.filter((held) => !this.#current.includes(held))) {
      const version = manifest.main.artifact.digest.slice(0, 8);
      log.info({ model: manifest.name, version }, 'is the current version from now on');
    }
    const retired = this.#current.filter((held) => !current.includes(held));
    for (const held of retired) {
      held.retiredAt = Date.now();
      if (held.path !== undefined) held.bytes = undefined;
    }
    // From here on, in one turn of the event loop, the new ones answer.
    this.#old = [...retired, ...this.#old].filter((held) => !current.includes(held));
    this.#current = current;
    this.#refused = nowRefused;
    await this.#note(retired);
  }

  /** The version that `bundle` is: one that is held already, or else a new one, with its sections loaded. */
  async #load(bundle: Bundle): Promise<Held> {
    const known = [...this.#current, ...this.#old].find(({ key }) => key === bundle.key);
    const held =
      known ??
      hold(this.#options.engine, {
        key: bundle.key,
        manifest: bundle.manifest,
        folder: bundle.folder,
        path: await this.#copy(bundle),
        bytes: undefined,
        retiredAt: 0,
      });
    held.folder = bundle.folder;
    held.bytes = bundle.artifacts;
    try {
      for (const { plan } of held.models) await held.runtime.prepare(plan);
    } catch (error) {
      if (known === undefined) {
        await held.runtime.dispose();
        if (held.path !== undefined) await forget(held.path);
      }
      throw error;
    }
    return held;
  }

  async #copy(bundle: Bundle): Promise<string | undefined> {
    const { models, keepMs, log } = this.#options;
    if (keepMs === 0) return undefined;
    try {
      return await keep(models, bundle);
    } catch (error) {
      const { message } = toTierwiseError(error);
      log.warn(`${bundle.folder}.tierwise will be kept in memory only, until the edge ends: ${message}`);
      return undefined;
    }
  }

  /** Notes on disk until when versions were current. */
  async #note(held: readonly Held[] = this.#current): Promise<void> {
    const now = new Date();
    if (held === this.#current) this.#notedAt = now.getTime();
    for (const { path } of held) {
      // It may be gone, or the disk read-only: then it is kept for less than was said, and loading it says so.
      if (path !== undefined) await markCurrent(path, now).catch(() => undefined);
    }
  }
}

/** What changes whenever a file of any bundle does. */
async function signatureOf(models: string): Promise<string> {
  const parts: unknown[] = [];
  for (const folder of await listBundles(models)) {
    const path = join(models, folder);
    for (const file of await readdir(path).catch(() => [])) {
      const found = await stat(join(path, file)).catch(() => undefined);
      parts.push([folder, file, found?.size, found?.mtimeMs, found?.ino]);
    }
    parts.push(folder);
  }
  return JSON.stringify(parts);
}
