import type { DType, DTypeArrays, Tensor } from '@tierwise/core';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { type ModelProto, writeOnnx } from '../src/index.ts';

/** Runs a model in ONNX Runtime, unoptimised, and gives every graph output. */
export async function runModel(
  model: ModelProto,
  inputs: ReadonlyMap<string, Tensor>,
): Promise<Map<string, Tensor>> {
  const session = await InferenceSession.create(writeOnnx(model), {
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 4,
  });
  try {
    const feeds = Object.fromEntries(
      session.inputNames.map((name) => {
        const { dtype, data, dims } = inputs.get(name)!;
        return [name, new OrtTensor(dtype as 'float32', data as Float32Array, dims)];
      }),
    );
    const results = await session.run(feeds);
    return new Map(
      Object.entries(results).map(([name, { type, data, dims }]) => [
        name,
        { dtype: type as DType, data: data as DTypeArrays[DType], dims },
      ]),
    );
  } finally {
    await session.release();
  }
}
