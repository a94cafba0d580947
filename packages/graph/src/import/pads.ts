import type { ModelProto, NodeProto } from 'onnx-buf';
import { attrInts, attrString, intsAttribute } from '../attributes.ts';
import { changed } from '../changed.ts';
import { graphOf } from '../flow.ts';
import { inferKnown, type ShapeOptions } from '../shapes.ts';

/**
 * `model` with each Pad that puts zeros around a picture before a convolution made part of that convolution, and each
 * Pad of nothing taken out.
 */
export function foldPads(model: ModelProto, options: ShapeOptions = {}): ModelProto {
  const graph = graphOf(model);
  const known = inferKnown(model, options);
  const outputs = new Set(graph.output.map(({ name }) => name));
  let nodes = [...graph.node];
  for (const pad of graph.node.filter(({ opType }) => opType === 'Pad')) {
    const [x = '', padsName = '', valueName = '', axes = ''] = pad.input;
    const [y = ''] = pad.output;
    const pads = known.get(padsName)?.values;
    const isZero = valueName === '' || known.get(valueName)?.values?.[0] === 0;
    if (pads === undefined || axes !== '' || outputs.has(y)) continue;
    const takers = nodes.filter(({ input }) => input.includes(y));
    const isNothing = pads.every((size) => size === 0);
    const foldable =
      isZero &&
      attrString(pad, 'mode', 'constant') === 'constant' &&
      pads.length === 8 &&
      pads.every((size, i) => size === 0 || (size > 0 && i % 4 >= 2)) &&
      takers.every(
        (taker) =>
          taker.opType === 'Conv' &&
          taker.input[0] === y &&
          ['NOTSET', 'VALID'].includes(attrString(taker, 'auto_pad', 'NOTSET')),
      );
    if (!isNothing && !foldable) continue;
    const [, , top, left, , , bottom, right] = pads as number[];
    nodes = nodes
      .filter((node) => node.output[0] !== y)
      .map((node): NodeProto => {
        if (!node.input.includes(y)) return node;
        const direct = changed(node, { input: node.input.map((name) => (name === y ? x : name)) });
        if (isNothing) return direct;
        const own = attrInts(node, 'pads', [0, 0, 0, 0]);
        const sum = [top!, left!, bottom!, right!].map((size, i) => size + own[i]!);
        const kept = node.attribute.filter(({ name }) => name !== 'pads' && name !== 'auto_pad');
        return changed(direct, { attribute: [...kept, intsAttribute('pads', sum)] });
      });
  }
  return changed(model, { graph: changed(graph, { node: nodes }) });
}
