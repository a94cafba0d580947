/**
 * The contracts of the house: what a composite is (Manifest), what runs where (Plan), what is known when it is
 * made (Profile, Context, Requirement). Each is one schema, and the type is inferred from it, so that a file or
 * a message from outside and a value made here can never drift apart.
 *
 * Nothing here may name a node of a graph as a place to run: sections carry the digest of an artifact and the
 * tensors they take and give, so a cut piece, a binary branch and a pruned variant are the same kind of thing.
 */
import * as v from 'valibot';

const name = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, 'letters, digits, ".", "_" and "-", 1 to 128 of them'),
);
const tensorName = v.pipe(v.string(), v.minLength(1), v.maxLength(512));
const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
const finite = v.pipe(v.number(), v.finite());
const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
const dims = v.pipe(
  v.array(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1 << 24))),
  v.maxLength(8),
);

/** SHA-256 of an artifact's bytes, 64 lower-case hexadecimal digits. */
export const DigestSchema = v.pipe(
  v.string(),
  v.regex(/^[0-9a-f]{64}$/, '64 lower-case hexadecimal digits'),
  v.brand('Digest'),
);
export type Digest = v.InferOutput<typeof DigestSchema>;

export const TierSchema = v.picklist(['device', 'edge', 'cloud']);
export type Tier = v.InferOutput<typeof TierSchema>;

/** Which engine can run an artifact: `binary` takes a compiled program, `onnx` an ONNX file. */
export const EngineNameSchema = v.picklist(['binary', 'onnx']);
export type EngineName = v.InferOutput<typeof EngineNameSchema>;

/**
 * How a tensor is written when it crosses a link, read at send time.
 * `raw`: float32 little-endian. `packed`: q = round((x - lo) / (hi - lo) * (2^bits - 1)), bit planes, LZ4
 * (see @tierwise/wire); `lo` < `hi` in the tensor's own units.
 */
export const CodecPolicySchema = v.variant('kind', [
  v.object({ kind: v.literal('raw') }),
  v.object({ kind: v.literal('packed'), bits: v.picklist([1, 2, 3, 4, 5, 6, 8]), lo: finite, hi: finite }),
]);
export type CodecPolicy = v.InferOutput<typeof CodecPolicySchema>;

/**
 * When a section's scores are an answer. `end`: always. `entropy`: when the normalised entropy of
 * softmax(scores) is strictly below `threshold` (LcDNN algorithm 3).
 */
export const ConfidencePolicySchema = v.variant('kind', [
  v.object({ kind: v.literal('end') }),
  v.object({ kind: v.literal('entropy'), threshold: v.pipe(v.number(), v.minValue(0), v.maxValue(1.01)) }),
]);
export type ConfidencePolicy = v.InferOutput<typeof ConfidencePolicySchema>;

/** Pixels to the network's input, NCHW float32: value = (pixel * scale - mean[c]) / std[c], pixel in 0..255. */
export const PreprocessSchema = v.object({
  channels: v.picklist([1, 3]),
  height: v.pipe(count, v.minValue(1), v.maxValue(4096)),
  width: v.pipe(count, v.minValue(1), v.maxValue(4096)),
  scale: v.pipe(finite, v.gtValue(0)),
  mean: v.pipe(v.array(finite), v.minLength(1), v.maxLength(3)),
  std: v.pipe(v.array(v.pipe(finite, v.gtValue(0))), v.minLength(1), v.maxLength(3)),
});
export type Preprocess = v.InferOutput<typeof PreprocessSchema>;

/** One file of a bundle. `file` is relative to the manifest; over HTTP the digest is its name. */
export const ArtifactSchema = v.object({
  file: v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, 'a plain file name')),
  digest: DigestSchema,
  bytes: v.pipe(count, v.minValue(1)),
  engine: EngineNameSchema,
});
export type Artifact = v.InferOutput<typeof ArtifactSchema>;

/** A tensor as it enters or leaves a network: its name and its shape for one sample, batch dimension included. */
export const PortSchema = v.object({ tensor: tensorName, dims });
export type Port = v.InferOutput<typeof PortSchema>;

/** `manifest.json` of a composite: everything a strategy and a runtime need to know without opening a weight file. */
export const ManifestSchema = v.object({
  format: v.literal('tierwise/1'),
  /** At most 100 characters, so that `<name>.rest` and the ids of Plans fit their limits. */
  name: v.pipe(name, v.maxLength(100)),
  labels: v.pipe(v.array(v.pipe(v.string(), v.maxLength(256))), v.minLength(2), v.maxLength(100_000)),
  preprocess: PreprocessSchema,
  /** The network's own input, NCHW, batch 1. */
  input: PortSchema,
  /** Tensor at the cut: what the stem gives, what the branch and the rest take. */
  stem: PortSchema,
  /** Scores of the branch and of the whole network, [1, classes], before softmax. */
  branch: v.object({ artifact: ArtifactSchema, scores: PortSchema }),
  main: v.object({ artifact: ArtifactSchema, scores: PortSchema }),
  codec: CodecPolicySchema,
  exit: ConfidencePolicySchema,
  /** What was measured when the bundle was made, on `samples` test samples; shares in 0..1. */
  measured: v.optional(
    v.object({
      data: v.string(),
      samples: count,
      mainAccuracy: share,
      branchAccuracy: share,
      compositeAccuracy: share,
      exitRate: share,
    }),
  ),
  /** Floating-point operations (multiply and add counted apart) of each part, for cost models. */
  flops: v.object({ stem: count, branch: count, rest: count }),
  /** How the bundle was made, for people: any JSON. */
  provenance: v.optional(v.record(v.string(), v.unknown())),
  /** Added by a server: where artifacts are found by digest and where unfinished samples go, relative to the manifest. */
  served: v.optional(
    v.object({ artifacts: v.string(), stream: v.optional(v.string()), infer: v.optional(v.string()) }),
  ),
});
export type Manifest = v.InferOutput<typeof ManifestSchema>;

/** Where work can run. */
export const PlaceSchema = v.object({ id: name, tier: TierSchema });
export type Place = v.InferOutput<typeof PlaceSchema>;

/**
 * Work that one engine does in one place without leaving it: from `inputs` to `outputs`, tensors of `artifact`.
 * For an ONNX artifact any tensors of the graph may be named: the engine cuts the piece between them.
 * `model` is the name under which a server offers the section (Open Inference Protocol).
 */
export const SectionSchema = v.object({
  id: name,
  place: name,
  engine: EngineNameSchema,
  artifact: DigestSchema,
  inputs: v.pipe(v.array(PortSchema), v.minLength(1)),
  outputs: v.pipe(v.array(PortSchema), v.minLength(1)),
  model: name,
});
export type Section = v.InferOutput<typeof SectionSchema>;

/**
 * Tensors going from a section (or from the Plan's input) to another section. A link between sections of one
 * place costs nothing and is never encoded. `when` says at which exit the link is used.
 */
export const LinkSchema = v.object({
  from: v.union([v.literal('input'), name]),
  to: name,
  tensors: v.pipe(v.array(tensorName), v.minLength(1)),
  codec: CodecPolicySchema,
  when: v.variant('kind', [
    v.object({ kind: v.literal('always') }),
    v.object({ kind: v.literal('exitNotTaken'), exit: name }),
  ]),
});
export type Link = v.InferOutput<typeof LinkSchema>;

/** A section whose scores may be the answer. `id` is what an answer reports. */
export const ExitSchema = v.object({
  id: name,
  section: name,
  scores: tensorName,
  policy: ConfidencePolicySchema,
});
export type Exit = v.InferOutput<typeof ExitSchema>;

/**
 * What the cost model expects; times are milliseconds, warm. `deviceMs`, `linkMs`, `edgeMs` and `uplinkBytes` are
 * those of a sample that goes through the stage; `latencyMs` is the mean when `exitRate` of the samples never
 * leave the device. `downloadBytes` is what the device still has to fetch before the first answer.
 */
export const PredictionSchema = v.object({
  latencyMs: finite,
  deviceMs: finite,
  linkMs: finite,
  edgeMs: finite,
  uplinkBytes: finite,
  downloadBytes: count,
  exitRate: share,
});
export type Prediction = v.InferOutput<typeof PredictionSchema>;

/**
 * A directed acyclic graph of sections over places. Sections are listed so that every link points forward. The
 * input arises, and the answer is wanted, at the first place.
 */
export const PlanSchema = v.object({
  id: v.pipe(v.string(), v.minLength(1), v.maxLength(128)),
  strategy: name,
  places: v.pipe(v.array(PlaceSchema), v.minLength(1)),
  sections: v.pipe(v.array(SectionSchema), v.minLength(1)),
  links: v.array(LinkSchema),
  exits: v.pipe(v.array(ExitSchema), v.minLength(1)),
  predicted: PredictionSchema,
});
export type Plan = v.InferOutput<typeof PlanSchema>;

/** Measured speed of the places for one model; FLOP/s with multiply and add counted apart. */
export const ProfileSchema = v.object({
  deviceFlopsPerSecond: v.pipe(finite, v.gtValue(0)),
  edgeFlopsPerSecond: v.pipe(finite, v.gtValue(0)),
  /** Share of samples that exit at the branch, and bytes of the encoded stem, when measured. */
  exitRate: v.optional(share),
  packedStemBytes: v.optional(count),
});
export type Profile = v.InferOutput<typeof ProfileSchema>;

/** What holds now. `edge: false` means that no edge can be reached. */
export const ContextSchema = v.object({
  uplinkBitsPerSecond: v.pipe(finite, v.gtValue(0)),
  downlinkBitsPerSecond: v.pipe(finite, v.gtValue(0)),
  roundTripMs: v.pipe(finite, v.minValue(0)),
  edge: v.boolean(),
  /** Digests of artifacts already on the device: they cost no download. */
  resident: v.array(DigestSchema),
});
export type Context = v.InferOutput<typeof ContextSchema>;

/** What the application asks for. */
export const RequirementSchema = v.object({
  objective: v.picklist(['latency', 'serverTime', 'uplinkBytes']),
  /** Whether the picture itself may leave the device. */
  rawInputMayLeave: v.boolean(),
  deadlineMs: v.optional(v.pipe(finite, v.gtValue(0))),
});
export type Requirement = v.InferOutput<typeof RequirementSchema>;

/** The strategies by their published names. */
export const StrategyNameSchema = v.picklist(['lcdnn', 'device-only', 'edge-only']);
export type StrategyName = v.InferOutput<typeof StrategyNameSchema>;
