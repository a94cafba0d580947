// First, so that the kernels' bytes come before all code in a bundle: in its midst they cost a page 200 bytes more.
import './generated/engine-simd.ts';

export { binaryEngine } from './engine.ts';
export { type Executor, prepare } from './fast/executor.ts';
export { type FastPlan, planProgram } from './fast/plan.ts';
export { readProgram, writeProgram } from './file.ts';
export { kernelSource } from './kernels/choose.ts';
export type * from './kernels/kernels.ts';
export type * from './program.ts';
export { inputsOf } from './program.ts';
export { runReference, type ValueData } from './reference.ts';
export { type ProgramSummary, programSummary } from './summary.ts';
