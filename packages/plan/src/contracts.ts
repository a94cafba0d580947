/**
 * The contracts of the house beside the Manifest: what runs where (Plan), what is known when it is made (Profile,
 * Context, Requirement). Each is one schema, and the type is inferred from it, so that a file or
 * a message from outside and a value made here can never drift apart.
 *
 * Nothing here may name a node of a graph as a place to run: sections carry the digest of an artifact and the
 * tensors they take and give, so a cut piece, a binary branch and a pruned variant are the same kind of thing.
 */
import { type Infer, schema as s } from '@tierwise/core';
import { count, finite, name, positive, share, tensorName } from './fields.ts';
import {
  CodecPolicySchema,
  ConfidencePolicySchema,
  DigestSchema,
  EngineNameSchema,
  PortSchema,
} from './manifest.ts';

/** Device: where the sample is. Edge: a server near it. Cloud: one far away. */
export const TierSchema = s.oneOf('device', 'edge', 'cloud');
export type Tier = Infer<typeof TierSchema>;

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
