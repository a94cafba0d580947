export * from './contracts.ts';
export type * from './engine.ts';
