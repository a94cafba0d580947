import { attrInt } from '../attributes.ts';
import type { GraphBuilder } from '../builder.ts';
import type { TensorType } from '../shapes.ts';
import { asProduct, isSmallMap } from './columns.ts';
import { windowOf } from './window.ts';

/**
 * Writes convolutions of `b`'s graph whose output maps are small as one matrix product over the batch each, which
 * onnxruntime computes faster (`isSmallMap`). A step of training does so after `differentiate`, which asks for the
 * convolutions as such, and shares what is copied with the gradients of their weights. `shapes` are those of the forward
 * graph; tensors that are not in it are left alone. Outputs keep their names.
 */
export function productsOnSmallMaps(b: GraphBuilder, shapes: ReadonlyMap<string, TensorType>): void {
  const nodes = b.graph.node;
  b.graph.node = [];
  for (const node of nodes) {
    const [x, w, bias] = node.input as [string, string, string | undefined];
    const [from, weights, to] = [x, w, node.output[0]!].map((name) => shapes.get(name)?.dims);
    if (node.opType === 'Conv' && from?.length === 4 && weights && to && attrInt(node, 'group', 1) === 1) {
      const dims = (name: string) => shapes.get(name)!.dims;
      const window = windowOf({ node, dims }, weights.slice(2));
      const [filters, channels] = weights as [number, number];
      if (isSmallMap(window, channels, filters)) {
        asProduct(b, x, b.transpose(w, [0, 2, 3, 1]), window, { filters, bias });
        b.graph.node.at(-1)!.output = [node.output[0]!];
        continue;
      }
    }
    b.graph.node.push(node);
  }
}
