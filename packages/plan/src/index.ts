export * from './contracts.ts';
export { encodedBytes, predict, transferMs, type Work } from './cost.ts';
export type * from './engine.ts';
export { parseManifest, parsePlan } from './parse.ts';
export { strategies } from './plans.ts';
export { deviceOnly } from './strategies/device-only.ts';
export { edgeOnly } from './strategies/edge-only.ts';
export { lcdnn } from './strategies/lcdnn.ts';
export type { Planned, Strategy, Want } from './strategy.ts';
