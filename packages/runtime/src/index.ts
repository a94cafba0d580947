export { abortError, orAborted, throwIfAborted } from './abort.ts';
export type { JudgedExit } from './exits.ts';
export { readReply, replyMessage, requestMessage, sentWith } from './messages.ts';
export type * from './outcome.ts';
export type { Policies } from './policies.ts';
export {
  type CallOptions,
  checkThreshold,
  createRuntime,
  type Runtime,
  type RuntimeOptions,
} from './runtime.ts';
export type { ArtifactSource } from './sections.ts';
export { serve } from './serve.ts';
export type * from './transport.ts';
