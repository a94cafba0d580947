import { type Infer, schema as s, TierwiseError } from '@tierwise/core';
import type { InferRequest } from '@tierwise/wire';

const positive = s.number({ exclusiveMinimum: 0 });

/** What this edge reads among the parameters of a request; docs/wire.md says what each means. All may be absent. */
const ParametersSchema = s.object({
  plan: s.optional(s.string()),
  section: s.optional(s.string()),
  key: s.optional(s.string({ minLength: 1, maxLength: 128 })),
  deadlineMs: s.optional(positive),
  predictedMs: s.optional(positive),
  deviceExits: s.optional(s.integer({ minimum: 0, maximum: 1e6 }), 0),
  entropy: s.optional(s.number({ minimum: 0, maximum: 1 })),
  branchClass: s.optional(s.integer({ minimum: 0 })),
  auditShare: s.optional(s.number({ exclusiveMinimum: 0, maximum: 1 })),
});
export type RequestParameters = Infer<typeof ParametersSchema>;

/** @throws TierwiseError REQUEST_INVALID naming the parameter */
export function readParameters({ parameters }: InferRequest): RequestParameters {
  return s.read(ParametersSchema, parameters, (parameter, problem) => {
    throw new TierwiseError('REQUEST_INVALID', `parameter ${parameter}: ${problem}`, { parameter });
  });
}
