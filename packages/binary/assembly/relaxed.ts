// Entry of engine-relaxed.wasm: the kernel that relaxed SIMD makes faster, on the memory of engine-simd.wasm.
export { convTable } from './conv-table';
