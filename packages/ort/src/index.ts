export { type OnnxEngine, type OnnxEngineOptions, onnxEngine } from './engine.ts';
export { OrtPool, type PoolModel, type PoolOptions } from './pool.ts';
export {
  type Feeds,
  type Fetches,
  type OrtSession,
  openSession,
  type PortInfo,
  type SessionOptions,
} from './session.ts';
