export * from './attributes.ts';
export { nodeLabel } from './check.ts';
export * from './model.ts';
export * from './shapes.ts';
export * from './tensors.ts';
