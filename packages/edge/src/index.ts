export type { RefusedBundle } from './bundles.ts';
export { createEdge, type Edge, type EdgeOptions } from './edge.ts';
export { runEdge } from './run.ts';
