import { extract, fromTensorProto, type NodeProto } from '@tierwise/graph';
import type { Backbone } from '../frozen/backbone.ts';
import type { Parameter } from '../layers/training.ts';
import type { StartingValues } from './drawn.ts';

/** Which input of a node holds a layer's weights as binary layers have them, filters or units first. */
function weightsOf({ opType, input, attribute }: NodeProto): string | undefined {
  const isTransposed = attribute.some(({ name, i }) => name === 'transB' && i === 1n);
  return opType === 'Conv' || (opType === 'Gemm' && isTransposed) ? input[1] : undefined;
}

/**
 * Starts a branch where the network that it leaves has arrived: each binary layer, in their order, takes the weights of
 * the network's next layer behind the stem that has the same shape, each filter scaled to the size that it would have
 * been drawn with. What finds none stays as it was drawn. Trained filters look for the right things even when only
 * their signs are left, so that a short training gets further. Bi-Real Net (ECCV 2018) starts from a real
 * network, too, one trained for this; here the one at hand serves.
 */
export function inherited(
  drawn: StartingValues,
  parameters: readonly Parameter[],
  { model, ports }: Backbone,
): StartingValues {
  const graph = extract(model, { inputs: [ports.stem], outputs: [ports.scores] }).graph!;
  const stored = new Map(graph.initializer.map((proto) => [proto.name, proto]));
  const layers = graph.node.flatMap((node) => {
    const proto = stored.get(weightsOf(node) ?? '');
    return proto ? [fromTensorProto(proto)] : [];
  });
  const values = new Map(drawn);
  let next = 0;
  for (const { name, kind, dims } of parameters) {
    if (kind !== 'latent') continue;
    const found = layers.findIndex((layer, i) => i >= next && String(layer.dims) === String(dims));
    const layer = layers[found];
    if (layer?.dtype !== 'float32') continue;
    next = found + 1;
    values.set(name, scaled(layer.data as Float32Array, dims));
  }
  return values;
}

/** `weights` with a root mean square of sqrt(2 / fan-in) in each filter, within [-1, 1]. */
function scaled(weights: Float32Array, dims: readonly number[]): Float32Array<ArrayBuffer> {
  const filters = dims[0]!;
  const taps = weights.length / filters;
  const scale = Float64Array.from({ length: filters }, (_, k) => {
    const filter = weights.subarray(k * taps, (k + 1) * taps);
    return Math.sqrt(
      2 /
        Math.max(
          1e-30,
          filter.reduce((sum, w) => sum + w * w, 0),
        ),
    );
  });
  return Float32Array.from(weights, (w, i) => Math.max(-1, Math.min(1, w * scale[Math.floor(i / taps)]!)));
}
