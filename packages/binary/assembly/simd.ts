// Entry of engine-simd.wasm: every kernel.
export { blend } from './blend';
export { convPopcount } from './conv-popcount';
export { convReal } from './conv-real';
export { convTable } from './conv-table';
export { arrange, lay, spread } from './layout';
export { mean, pool } from './pool';
export { begin } from './tile';
