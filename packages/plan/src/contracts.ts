/**
 * The contracts of the house: what a composite is (Manifest), what runs where (Plan), what is known when it is
 * made (Profile, Context, Requirement). Each is one schema, and the type is inferred from it, so that a file or
 * a message from outside and a value made here can never drift apart.
 *
 * Nothing here may name a node of a graph as a place to run: sections carry the digest of an artifact and the
 * tensors they take and give, so a cut piece, a binary branch and a pruned variant are the same kind of thing.
 */
import { type Infer, type Schema, schema as s } from '@tierwise/core';

const plainName = (length: number) =>
  s.string({
    pattern: `^[A-Za-z0-9][A-Za-z0-9._-]{0,${length - 1}}$`,
    description: `a plain name: 1 to ${length} letters, digits, ".", "_" and "-"`,
  });
const name = plainName(128);
const tensorName = s.string({ minLength: 1, maxLength: 512 });
const count = s.integer({ minimum: 0 });
const finite = s.number();
const positive = s.number({ exclusiveMinimum: 0 });
const share = s.number({ minimum: 0, maximum: 1 });
const dims = s.array(s.integer({ minimum: 1, maximum: 1 << 24 }), { maxItems: 8 });

/** SHA-256 of an artifact's bytes, 64 lower-case hexadecimal digits. */
export type Digest = string & { readonly [digest]: true };
declare const digest: unique symbol;
export const DigestSchema = s.string({
  pattern: '^[0-9a-f]{64}$',
  description: '64 lower-case hexadecimal digits',
}) as Schema<Digest>;

/** Device: where the sample is. Edge: a server near it. Cloud: one far away. */
export const TierSchema = s.oneOf('device', 'edge', 'cloud');
export type Tier = Infer<typeof TierSchema>;

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

/** Where work can run. */
export const PlaceSchema = s.object({ id: name, tier: TierSchema });
export type Place = Infer<typeof PlaceSchema>;

/**
 * Work that one engine does in one place without leaving it: from `inputs` to `outputs`, tensors of `artifact`.
 * For an ONNX artifact any tensors of the graph may be named: the engine cuts the piece between them.
 * `model` is the name under which a server offers the section (Open Inference Protocol).
 */
export const SectionSchema = s.object({
  id: name,
  place: name,
  engine: EngineNameSchema,
  artifact: DigestSchema,
  inputs: s.array(PortSchema, { minItems: 1 }),
  outputs: s.array(PortSchema, { minItems: 1 }),
  model: name,
});
export type Section = Infer<typeof SectionSchema>;

/**
 * Tensors going from a section (or from the Plan's input) to another section. A link between sections of one
 * place costs nothing and is never encoded. `when` says at which exit the link is used.
 */
export const LinkSchema = s.object({
  from: name,
  to: name,
  tensors: s.array(tensorName, { minItems: 1 }),
  codec: CodecPolicySchema,
  when: s.variant(
    s.object({ kind: s.oneOf('always') }),
    s.object({ kind: s.oneOf('exitNotTaken'), exit: name }),
  ),
});
export type Link = Infer<typeof LinkSchema>;

/** A section whose scores may be the answer. `id` is what an answer reports. */
export const ExitSchema = s.object({
  id: name,
  section: name,
  scores: tensorName,
  policy: ConfidencePolicySchema,
});
export type Exit = Infer<typeof ExitSchema>;

/**
 * What the cost model expects; times are milliseconds, warm. `deviceMs`, `linkMs`, `edgeMs` and `uplinkBytes` are
 * those of a sample that goes through the stage; `latencyMs` is the mean when `exitRate` of the samples never
 * leave the device. `downloadBytes` is what the device still has to fetch before the first answer.
 */
export const PredictionSchema = s.object({
  latencyMs: finite,
  deviceMs: finite,
  linkMs: finite,
  edgeMs: finite,
  uplinkBytes: finite,
  downloadBytes: count,
  exitRate: share,
});
export type Prediction = Infer<typeof PredictionSchema>;

/**
 * A directed acyclic graph of sections over places. Sections are listed so that every link points forward. The
 * input arises, and the answer is wanted, at the first place.
 */
export const PlanSchema = s.object({
  id: s.string({ minLength: 1, maxLength: 128 }),
  strategy: name,
  places: s.array(PlaceSchema, { minItems: 1 }),
  sections: s.array(SectionSchema, { minItems: 1 }),
  links: s.array(LinkSchema),
  exits: s.array(ExitSchema, { minItems: 1 }),
  predicted: PredictionSchema,
});
export type Plan = Infer<typeof PlanSchema>;

/** Measured speed of the places for one model; FLOP/s with multiply and add counted apart. */
export const ProfileSchema = s.object({
  deviceFlopsPerSecond: positive,
  edgeFlopsPerSecond: positive,
  /** Share of samples that exit at the branch, and bytes of the encoded stem, when measured. */
  exitRate: s.optional(share),
  packedStemBytes: s.optional(count),
});
export type Profile = Infer<typeof ProfileSchema>;

/** What holds now. `edge: false` means that no edge can be reached. */
export const ContextSchema = s.object({
  uplinkBitsPerSecond: positive,
  downlinkBitsPerSecond: positive,
  roundTripMs: s.number({ minimum: 0 }),
  edge: s.boolean(),
  /** Digests of artifacts already on the device: they cost no download. */
  resident: s.array(DigestSchema),
});
export type Context = Infer<typeof ContextSchema>;

/** What the application asks for. */
export const RequirementSchema = s.object({
  objective: s.oneOf('latency', 'serverTime', 'uplinkBytes'),
  /** Whether the picture itself may leave the device. */
  rawInputMayLeave: s.boolean(),
  deadlineMs: s.optional(positive),
});
export type Requirement = Infer<typeof RequirementSchema>;

/** The strategies by their published names. */
export const StrategyNameSchema = s.oneOf('lcdnn', 'device-only', 'edge-only');
export type StrategyName = Infer<typeof StrategyNameSchema>;
