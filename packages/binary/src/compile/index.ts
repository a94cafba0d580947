export { type CompileOptions, compileBranch } from './branch.ts';
