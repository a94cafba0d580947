import * as ort from 'onnxruntime-web/wasm';
import type { Contestant } from './race.ts';

ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'fatal';

/** The file at `url` in onnxruntime-web: WebAssembly, one thread, every optimisation. */
export function openOrtWeb(model: Uint8Array | ArrayBuffer): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(new Uint8Array(model), {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
  });
}

/** Runs a model of one input and one output on the same data again and again. */
export function ortWebContestant(
  name: string,
  session: ort.InferenceSession,
  dims: readonly number[],
  data: Float32Array,
): Contestant {
  const feeds = { [session.inputNames[0]!]: new ort.Tensor('float32', data, dims) };
  return { name, run: () => session.run(feeds) };
}

/** The only output for one input. */
export async function ortWebScores(
  session: ort.InferenceSession,
  dims: readonly number[],
  data: Float32Array,
): Promise<Float32Array> {
  const outputs = await session.run({ [session.inputNames[0]!]: new ort.Tensor('float32', data, dims) });
  return outputs[session.outputNames[0]!]!.data as Float32Array;
}
