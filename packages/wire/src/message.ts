import { type ErrorCode, errorTable, type Tensor, TierwiseError } from '@tierwise/core';
import * as v from 'valibot';

/**
 * What is said over a link: the messages of the Open Inference Protocol v2 (REST), with tensors instead of JSON
 * data. Plan id, section and exit policy travel as parameters. '' stands for a name or id that is not given.
 * Source: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md; the binary
 * extension is Triton's (docs/protocol/extension_binary_data.md).
 */
export type InferMessage = InferRequest | InferResponse | InferFailure;

export type InferParameters = Readonly<Record<string, string | number | boolean>>;

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

export interface RequestedOutput {
  readonly name: string;
  /** Over HTTP, whether this output comes as raw bytes; see `wantsBinary`. */
  readonly binary?: boolean;
}

export interface InferResponse {
  readonly kind: 'response';
  readonly modelName: string;
  readonly id: string;
  readonly parameters: InferParameters;
  readonly outputs: ReadonlyMap<string, Tensor>;
}

export interface InferFailure {
  readonly kind: 'failure';
  readonly id: string;
  readonly error: string;
  /** INTERNAL when the other end gives none that we know. */
  readonly code: ErrorCode;
}

/** Tensors that one message may carry. */
export const maxTensors = 64;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const tensorName = v.pipe(v.string(), v.minLength(1), v.maxLength(512));
const text = v.optional(v.string(), '');
const parameters = v.optional(
  v.record(v.string(), v.union([v.string(), v.pipe(v.number(), v.finite()), v.boolean()])),
  {},
);
const isArray = (value: unknown): value is readonly unknown[] => Array.isArray(value);
const tensors = v.pipe(
  v.array(
    v.object({
      name: tensorName,
      shape: v.pipe(v.array(count), v.maxLength(8)),
      datatype: v.pipe(v.string(), v.maxLength(16)),
      parameters: v.optional(v.object({ binary_data_size: v.optional(count) })),
      data: v.optional(v.custom<readonly unknown[]>(isArray, 'an array')),
    }),
  ),
  v.maxLength(maxTensors),
);

export const RequestJsonSchema = v.object({
  model_name: text,
  id: text,
  parameters,
  inputs: tensors,
  outputs: v.optional(
    v.pipe(
      v.array(
        v.object({
          name: tensorName,
          parameters: v.optional(v.object({ binary_data: v.optional(v.boolean()) })),
        }),
      ),
      v.maxLength(maxTensors),
    ),
    [],
  ),
});

export const ResponseJsonSchema = v.object({ model_name: text, id: text, parameters, outputs: tensors });

export const FailureJsonSchema = v.object({
  id: text,
  error: v.string(),
  code: v.fallback(v.picklist(Object.keys(errorTable) as ErrorCode[]), 'INTERNAL'),
});

/** A tensor as a JSON header tells it: with `data`, or with the size of its raw bytes behind the header. */
export type TensorJson = v.InferOutput<typeof tensors>[number];

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
