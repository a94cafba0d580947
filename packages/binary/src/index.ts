export { binaryEngine } from './engine.ts';
export { readProgram, writeProgram } from './file.ts';
export type * from './program.ts';
export { inputsOf } from './program.ts';
export { runReference, type ValueData } from './reference.ts';
export { type ProgramSummary, programSummary } from './summary.ts';
