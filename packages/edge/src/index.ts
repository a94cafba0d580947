export { type Bundle, type RefusedBundle, readBundle } from './bundles.ts';
export { createEdge, type Edge, type EdgeOptions } from './edge.ts';
export { type RunningEdge, runEdge } from './run.ts';
