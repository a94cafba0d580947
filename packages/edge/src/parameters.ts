import { TierwiseError } from '@tierwise/core';
import type { InferRequest } from '@tierwise/wire';
import * as v from 'valibot';

const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
const positive = v.pipe(v.number(), v.gtValue(0));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** What this edge reads among the parameters of a request; docs/wire.md says what each means. All may be absent. */
const ParametersSchema = v.object({
  plan: v.optional(v.string()),
  section: v.optional(v.string()),
  key: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(128))),
  deadlineMs: v.optional(positive),
  predictedMs: v.optional(positive),
  deviceExits: v.optional(v.pipe(count, v.maxValue(1e6)), 0),
  entropy: v.optional(share),
  branchClass: v.optional(count),
  auditShare: v.optional(v.pipe(share, v.gtValue(0))),
});
export type RequestParameters = v.InferOutput<typeof ParametersSchema>;

/** @throws TierwiseError REQUEST_INVALID naming the parameter */
export function readParameters({ parameters }: InferRequest): RequestParameters {
  const result = v.safeParse(ParametersSchema, parameters, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const name = v.getDotPath(issue) ?? '';
  throw new TierwiseError('REQUEST_INVALID', `parameter ${name}: ${issue.message}`, { parameter: name });
}
