// Entry of engine-simd.wasm: every kernel.
export { blend } from './blend';
export { convPopcount } from './conv-popcount';
export { convReal } from './conv-real';
export { convTable } from './conv-table';
export { interleave, lay, planesOfBits, planesOfReal } from './layout';
export { mean, poolBits, poolReal } from './pool';
