// Entry of engine-relaxed.wasm: the kernels that relaxed SIMD makes faster, on the memory of engine-simd.wasm.
export { convReal } from './conv-real';
export { convTable } from './conv-table';
