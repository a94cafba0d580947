import type { Context, Profile, Requirement } from '../src/contracts.ts';

/** LeNet's composite as JSON, with the sizes of the published one; digests are made up. */
export function sampleManifest(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    format: 'tierwise/1',
    name: 'lenet',
    labels: Array.from({ length: 10 }, (_, i) => `${i}`),
    preprocess: { channels: 1, height: 28, width: 28, scale: 1, mean: [0], std: [1] },
    input: { tensor: 'pixels', dims: [1, 1, 28, 28] },
    stem: { tensor: 'stem', dims: [1, 20, 12, 12] },
    branch: {
      artifact: { file: 'branch.safetensors', digest: 'b'.repeat(64), bytes: 82_000, engine: 'binary' },
      scores: { tensor: 'branch_scores', dims: [1, 10] },
    },
    main: {
      artifact: {
        file: 'model.onnx',
        digest: `0123456789abcdef${'0'.repeat(48)}`,
        bytes: 1_724_000,
        engine: 'onnx',
      },
      scores: { tensor: 'main_scores', dims: [1, 10] },
    },
    codec: { kind: 'packed', bits: 4, lo: 0, hi: 6 },
    exit: { kind: 'entropy', threshold: 0.05 },
    measured: {
      data: 'mnist',
      samples: 10_000,
      mainAccuracy: 0.99,
      branchAccuracy: 0.98,
      compositeAccuracy: 0.99,
      exitRate: 0.9,
    },
    flops: { stem: 500_000, branch: 1_500_000, rest: 4_000_000 },
    ...changes,
  };
}

export const profile: Profile = { deviceFlopsPerSecond: 1e9, edgeFlopsPerSecond: 8e9 };
export const context: Context = {
  uplinkBitsPerSecond: 1e6,
  downlinkBitsPerSecond: 4e6,
  roundTripMs: 50,
  edge: true,
  resident: [],
};
export const requirement: Requirement = { objective: 'latency', rawInputMayLeave: true };
