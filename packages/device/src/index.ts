export type * from './api.ts';
export { type StreamCounts, type StreamOptions, stream } from './stream.ts';
export { load, type WorkerLoadOptions } from './worker.ts';
