import { type ModelSummary, TierwiseError } from '@tierwise/core';

/** Where a branch could leave a network, and what a branch would weigh there that mirrors the rest in binary. */
export interface BranchPlace {
  /** The tensor that both branch and rest would take, without the batch [c, h, w]. */
  readonly tensor: string;
  readonly dims: readonly number[];
  /** Layers with weights on the device, and those that follow. */
  readonly layersBefore: number;
  readonly layersAfter: number;
  /** Real layers on the device: operations and bytes, weights in float16. */
  readonly headFlops: number;
  readonly headBytes: number;
  /** Operations of the mirrored branch: with signs, and in real numbers in its last layer. */
  readonly binaryFlops: number;
  readonly realFlops: number;
  /** Weights of one bit, those of the last layer of eight, 4 bytes for the threshold or norm of each channel. */
  readonly branchBytes: number;
  /** Operations that are left for the edge. */
  readonly restFlops: number;
}

const weighted = new Set(['Conv', 'Gemm', 'MatMul']);
/** Bytes in memory of a float32 weight, from which a summary counts. */
const floatBytes = 4;

/**
 * The places where one tensor crosses, one for each layer with weights: between it and the next one the smallest
 * tensor, and of equal ones the last. The last layer is always real, so the last place has one layer after it.
 * `summary` is that of the main network alone.
 * @throws TierwiseError MODEL_UNSUPPORTED when no tensor separates two layers with weights
 */
export function branchPlaces(summary: ModelSummary): BranchPlace[] {
  const layers = summary.nodes.filter((node) => weighted.has(node.op) && node.parameterBytes > 0);
  const last = layers.at(-1);
  const index = new Map(summary.nodes.flatMap((node, i) => node.outputs.map((name) => [name, i] as const)));
  const tensors = new Map(summary.tensors.map((tensor) => [tensor.name, tensor]));
  const places = new Map<number, BranchPlace>();
  for (const cut of summary.cuts) {
    const at = index.get(cut.tensor)!;
    const isAfter = (node: (typeof layers)[number]) => index.get(node.outputs[0]!)! > at;
    const after = layers.filter(isAfter);
    const layersBefore = layers.length - after.length;
    if (layersBefore === 0 || after.length === 0 || last === undefined) continue;
    const known = places.get(layersBefore);
    const { dims, bytes } = tensors.get(cut.tensor)!;
    if (known !== undefined && known.dims.reduce((a, d) => a * d, floatBytes) < bytes) continue;
    const mirrored = after.filter((node) => node !== last);
    const sum = (nodes: typeof layers, of: 'flops' | 'parameterBytes') =>
      nodes.reduce((total, node) => total + node[of], 0);
    const channels = mirrored.reduce(
      (total, node) => total + (tensors.get(node.outputs[0]!)!.dims[1] ?? 0),
      0,
    );
    places.set(layersBefore, {
      tensor: cut.tensor,
      dims: dims.slice(1),
      layersBefore,
      layersAfter: after.length,
      headFlops: cut.flopsBefore,
      headBytes: cut.parameterBytesBefore / 2,
      binaryFlops: sum(mirrored, 'flops'),
      realFlops: last.flops,
      branchBytes: Math.ceil(
        sum(mirrored, 'parameterBytes') / (8 * floatBytes) + last.parameterBytes / floatBytes + 4 * channels,
      ),
      restFlops: cut.flopsAfter,
    });
  }
  if (places.size === 0)
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      'no single tensor separates two layers with weights, so no branch can leave this network',
    );
  return [...places.values()];
}
