import { type ErrorCode, type Infer, schema as s, type Tensor, TierwiseError } from '@tierwise/core';

/**
 * What is said over a link: the messages of the Open Inference Protocol v2 (REST), with tensors instead of JSON
 * data. Plan id, section and exit policy travel as parameters. '' stands for a name or id that is not given.
 * Source: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md; the binary
 * extension is Triton's (docs/protocol/extension_binary_data.md).
 */
export type InferMessage = InferRequest | InferResponse | InferFailure;

/** The `parameters` of the protocol: what Tierwise adds to it goes there. */
export type InferParameters = Readonly<Record<string, string | number | boolean>>;

/** Tensors for a model, and the outputs that are wanted. */
export interface InferRequest {
  readonly kind: 'request';
  /** Over HTTP the address names the model and this is ''. */
  readonly modelName: string;
  /** Comes back in the response or failure. */
  readonly id: string;
  readonly parameters: InferParameters;
  readonly inputs: ReadonlyMap<string, Tensor>;
  /** The outputs wanted; all of them when empty. */
  readonly outputs: readonly RequestedOutput[];
}

/** An output that is wanted, by name. */
export interface RequestedOutput {
  readonly name: string;
  /** Over HTTP, whether this output comes as raw bytes; see `wantsBinary`. */
  readonly binary?: boolean;
}

/** The outputs of a request; `id` is its. */
export interface InferResponse {
  readonly kind: 'response';
  readonly modelName: string;
  readonly id: string;
  readonly parameters: InferParameters;
  readonly outputs: ReadonlyMap<string, Tensor>;
}

/** An error in the place of a response. */
export interface InferFailure {
  readonly kind: 'failure';
  readonly id: string;
  readonly error: string;
  /** INTERNAL when the other end gives none that we know. */
  readonly code: ErrorCode;
}

/** Tensors that one message may carry. */
export const maxTensors = 64;

const count = s.integer({ minimum: 0 });
const tensorName = s.string({ minLength: 1, maxLength: 512 });
const text = s.optional(s.string(), '');
const parameters = s.optional(s.record(s.anything()), {});
const tensors = s.array(
  s.object({
    name: tensorName,
    shape: s.array(count, { maxItems: 8 }),
    datatype: s.string({ maxLength: 16 }),
    parameters: s.optional(s.object({ binary_data_size: s.optional(count) })),
    data: s.optional(s.anything()),
  }),
  { maxItems: maxTensors },
);

export const RequestJsonSchema = s.object({
  model_name: text,
  id: text,
  parameters,
  inputs: tensors,
  outputs: s.optional(
    s.array(
      s.object({
        name: tensorName,
        parameters: s.optional(s.object({ binary_data: s.optional(s.boolean()) })),
      }),
      { maxItems: maxTensors },
    ),
    [],
  ),
});

export const ResponseJsonSchema = s.object({ model_name: text, id: text, parameters, outputs: tensors });

export const FailureJsonSchema = s.object({
  id: text,
  error: s.string(),
  code: s.optional(s.string(), 'INTERNAL'),
});

/** Parameters are strings, numbers and truth values; `refuse` is told the name of one that is not. */
export function readParameters(
  json: Record<string, unknown>,
  refuse: (name: string) => never,
): InferParameters {
  for (const [name, value] of Object.entries(json)) {
    if (typeof value !== 'string' && typeof value !== 'boolean' && !Number.isFinite(value)) refuse(name);
  }
  return json as InferParameters;
}

/** A tensor as a JSON header tells it: with `data`, or with the size of its raw bytes behind the header. */
export type TensorJson = Infer<typeof tensors>[number];

/**
 * Whether an HTTP client wants the output `name` as raw bytes: what it asks for that output
 * (`binary_data`), else for all of them (`binary_data_output`), else not. Frames are always binary.
 */
export function wantsBinary(request: InferRequest, name: string): boolean {
  const asked = request.outputs.find((output) => output.name === name)?.binary;
  return asked ?? request.parameters['binary_data_output'] === true;
}

/** The failure that tells the other end about `error`, which answers the request `id`. */
export function failureOf(error: TierwiseError, id = ''): InferFailure {
  return { kind: 'failure', id, error: error.message, code: error.code };
}

/** The error that the other end reported. */
export function errorOf(failure: InferFailure): TierwiseError {
  return new TierwiseError(failure.code, failure.error);
}
