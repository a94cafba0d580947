export * from './confidence.ts';
export * from './errors.ts';
export * from './preprocess.ts';
export * from './random.ts';
export * from './tensor.ts';
