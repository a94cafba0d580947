import { datatypeNames } from '@tierwise/wire';
import type { ServedModel } from './models.ts';

/** Dims of a port with an open batch. */
function openDims(dims: readonly number[]): number[] {
  return [-1, ...dims.slice(1)];
}

/** Model metadata of the Open Inference Protocol. A packed tensor (UINT8, one dimension) may stand for any input. */
export function describeModel({ name, inputs, scores }: ServedModel, versions: readonly string[]): object {
  const datatype = datatypeNames.float32;
  const describe = (port: { tensor: string; dims: readonly number[] }) => ({
    name: port.tensor,
    datatype,
    shape: openDims(port.dims),
  });
  return {
    name,
    versions,
    platform: 'onnxruntime_onnx',
    inputs: inputs.map(describe),
    outputs: [describe(scores)],
  };
}

/** Model configuration in Triton's words, as far as it is true here: the batch is a dimension like any other. */
export function modelConfig({ name, inputs, scores, manifest }: ServedModel): object {
  const describe = (port: { tensor: string; dims: readonly number[] }) => ({
    name: port.tensor,
    data_type: 'TYPE_FP32',
    dims: openDims(port.dims),
  });
  return {
    name,
    platform: 'onnxruntime_onnx',
    backend: 'onnxruntime',
    default_model_filename: manifest.main.artifact.file,
    max_batch_size: 0,
    input: inputs.map(describe),
    output: [describe(scores)],
  };
}

/** What was counted since the edge started, in Triton's words. Times are nanoseconds, failures are not timed. */
export function modelStatistics(models: readonly ServedModel[]): object {
  const duration = (count: number, ms: number) => ({ count, ns: Math.round(ms * 1e6) });
  return {
    model_stats: models.map(({ name, version, stats }) => ({
      name,
      version,
      last_inference: stats.lastRequest,
      inference_count: stats.samples,
      execution_count: stats.samples,
      inference_stats: {
        success: duration(stats.requests, stats.requestMs),
        fail: duration(stats.failures, 0),
        queue: duration(stats.requests, stats.queueMs),
        compute_infer: duration(stats.requests, stats.computeMs),
      },
    })),
  };
}
