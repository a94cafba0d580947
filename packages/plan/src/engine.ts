import type { Tensor } from '@tierwise/core';
import type { Section } from './contracts.ts';
import type { EngineName } from './manifest.ts';

/** What one run took: waiting for a free worker, and computing. Milliseconds of wall clock. */
export interface RunTimings {
  readonly queueMs: number;
  readonly computeMs: number;
}

/** What a caller of one run may give. */
export interface RunOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once before `run` resolves, by engines that can tell waiting and computing apart. */
  readonly onTimings?: ((timings: RunTimings) => void) | undefined;
}

/** A section that is ready to run. Outputs are fresh tensors that the caller owns. */
export interface LoadedSection {
  /**
   * Runs one batch: `inputs` holds every tensor the section names, dims as in the section but for the batch.
   * @throws TierwiseError TENSOR_INVALID on a missing, mis-shaped or mistyped input; CANCELLED by `signal`
   */
  run(inputs: ReadonlyMap<string, Tensor>, options?: RunOptions): Promise<Map<string, Tensor>>;
  /** Frees memory and threads. Idempotent. */
  dispose(): Promise<void>;
}

/** An artifact that may still be on its way. `bytes` has its full length from the start and fills up from the front. */
export interface Arrival {
  readonly bytes: Uint8Array;
  /** Resolves when the first `count` bytes are there, or all if there are fewer; rejects when they will not come. */
  reached(count: number): Promise<void>;
}

/** Something that can run artifacts of one kind. Injected into a runtime; a place has as many as it needs. */
export interface Engine {
  readonly name: EngineName;
  /**
   * Prepares the piece of `artifact` between the section's inputs and outputs. `artifact` has been checked
   * against its digest and is not kept.
   * @throws TierwiseError MODEL_CORRUPT | PROGRAM_CORRUPT | MODEL_UNSUPPORTED when the bytes are not fit to run
   */
  load(
    artifact: Uint8Array,
    section: Section,
    options?: { signal?: AbortSignal | undefined },
  ): Promise<LoadedSection>;
  /**
   * As `load`, for engines that have something to do while the artifact arrives. Its digest is known in the end only:
   * the caller compares it before the section may run.
   */
  loadArriving?(artifact: Arrival, section: Section): Promise<LoadedSection>;
}
