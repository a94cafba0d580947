/**
 * What a composite is. Its schema is apart from those of Plans because a page reads manifests and makes its Plans itself:
 * of what it does not import it carries nothing.
 */
import { type Infer, type Schema, schema as s } from '@tierwise/core';
import { count, finite, name, plainName, positive, share, tensorName } from './fields.ts';

const dims = s.array(s.integer({ minimum: 1, maximum: 1 << 24 }), { maxItems: 8 });

/** SHA-256 of an artifact's bytes, 64 lower-case hexadecimal digits. */
export type Digest = string & { readonly [digest]: true };
declare const digest: unique symbol;
export const DigestSchema = s.string({
  pattern: '^[0-9a-f]{64}$',
  description: '64 lower-case hexadecimal digits',
}) as Schema<Digest>;

/** Which engine can run an artifact: `binary` takes a compiled program, `onnx` an ONNX file. */
export const EngineNameSchema = s.oneOf('binary', 'onnx');
export type EngineName = Infer<typeof EngineNameSchema>;

/**
 * How a tensor is written when it crosses a link, read at send time.
 * `raw`: float32 little-endian. `packed`: q = round((x - lo) / (hi - lo) * (2^bits - 1)), bit planes, LZ4
 * (see @tierwise/wire); `lo` < `hi` in the tensor's own units.
 */
export const CodecPolicySchema = s.variant(
  s.object({ kind: s.oneOf('raw') }),
  s.object({ kind: s.oneOf('packed'), bits: s.oneOf(1, 2, 3, 4, 5, 6, 8), lo: finite, hi: finite }),
);
export type CodecPolicy = Infer<typeof CodecPolicySchema>;

/**
 * When a section's scores are an answer. `end`: always. `entropy`: when the normalised entropy of
 * softmax(scores) is strictly below `threshold` (LcDNN algorithm 3).
 */
export const ConfidencePolicySchema = s.variant(
  s.object({ kind: s.oneOf('end') }),
  s.object({ kind: s.oneOf('entropy'), threshold: s.number({ minimum: 0, maximum: 1.01 }) }),
);
export type ConfidencePolicy = Infer<typeof ConfidencePolicySchema>;

/** Pixels to the network's input, NCHW float32: value = (pixel * scale - mean[c]) / std[c], pixel in 0..255. */
export const PreprocessSchema = s.object({
  channels: s.oneOf(1, 3),
  height: s.integer({ minimum: 1, maximum: 4096 }),
  width: s.integer({ minimum: 1, maximum: 4096 }),
  scale: positive,
  mean: s.array(finite, { minItems: 1, maxItems: 3 }),
  std: s.array(positive, { minItems: 1, maxItems: 3 }),
});
export type Preprocess = Infer<typeof PreprocessSchema>;

/** One file of a bundle. `file` is relative to the manifest; over HTTP the digest is its name. */
export const ArtifactSchema = s.object({
  file: name,
  digest: DigestSchema,
  bytes: s.integer({ minimum: 1, maximum: 2 ** 31 }),
  engine: EngineNameSchema,
});
export type Artifact = Infer<typeof ArtifactSchema>;

/** A tensor as it enters or leaves a network: its name and its shape for one sample, batch dimension included. */
export const PortSchema = s.object({ tensor: tensorName, dims });
export type Port = Infer<typeof PortSchema>;

/** `manifest.json` of a composite: everything a strategy and a runtime need to know without opening a weight file. */
export const ManifestSchema = s.object({
  format: s.oneOf('tierwise/1'),
  /** At most 100 characters, so that `<name>.rest` and the ids of Plans fit their limits. */
  name: plainName(100),
  labels: s.array(s.string({ maxLength: 256 }), { minItems: 2, maxItems: 100_000 }),
  preprocess: PreprocessSchema,
  /** The network's own input, NCHW, batch 1. */
  input: PortSchema,
  /** Tensor at the cut: what the stem gives, what the branch and the rest take. */
  stem: PortSchema,
  /** Scores of the branch and of the whole network, [1, classes], before softmax. */
  branch: s.object({ artifact: ArtifactSchema, scores: PortSchema }),
  main: s.object({ artifact: ArtifactSchema, scores: PortSchema }),
  codec: CodecPolicySchema,
  exit: ConfidencePolicySchema,
  /**
   * "None of these": a picture is unlike what was learnt when log sum exp of the branch's scores is below `energy`.
   * `knownRejected` is the share of the samples held back from training that are. Missing where it was not chosen.
   */
  rejection: s.optional(s.object({ energy: finite, knownRejected: share })),
  /** What was measured when the bundle was made, on `samples` test samples; shares in 0..1. */
  measured: s.optional(
    s.object({
      data: s.string(),
      samples: count,
      mainAccuracy: share,
      branchAccuracy: share,
      compositeAccuracy: share,
      exitRate: share,
    }),
  ),
  /** Floating-point operations (multiply and add counted apart) of each part, for cost models. */
  flops: s.object({ stem: count, branch: count, rest: count }),
  /** How the bundle was made, for people: any JSON. */
  provenance: s.optional(s.record(s.anything())),
  /** Added by a server: where artifacts are found by digest and where unfinished samples go, relative to the manifest. */
  served: s.optional(
    s.object({ artifacts: s.string(), stream: s.optional(s.string()), infer: s.optional(s.string()) }),
  ),
});
export type Manifest = Infer<typeof ManifestSchema>;
