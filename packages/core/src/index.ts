export * from './confidence.ts';
export * from './digest.ts';
export * from './errors.ts';
export * from './float16.ts';
export * from './preprocess.ts';
export * from './random.ts';
export * from './safetensors.ts';
export * from './tensor.ts';
