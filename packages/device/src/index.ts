export type * from './api.ts';
export { load } from './load.ts';
