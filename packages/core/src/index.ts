export * from './confidence.ts';
export * from './crc32.ts';
export * from './digest.ts';
export * from './errors.ts';
export * from './float16.ts';
export * from './model-summary.ts';
export * from './preprocess.ts';
export * from './random.ts';
export * from './remedies.ts';
export * from './safetensors.ts';
export type { Infer, JsonSchema, Refuse, Schema } from './schema.ts';
/** What schemas are made of. */
export * as schema from './schema.ts';
export * from './tensor.ts';
export * from './tierwise-error.ts';
