export type * from './api.ts';
export { load } from './load.ts';
export { type StreamCounts, type StreamOptions, stream } from './stream.ts';
