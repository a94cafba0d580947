import type { CutSummary, ModelSummary, NodeSummary, TensorSummary } from '@tierwise/core';
import type { ModelProto } from 'onnx-buf';
import { nodeLabel } from './check.ts';
import { nodeFlops, tensorBytes } from './flops.ts';
import { type Flow, flowOf } from './flow.ts';
import { inferShapes, type ShapeOptions } from './shapes.ts';

/**
 * What a strategy needs to know of `model`, at the shapes that `options` gives (batch 1 unless it says another).
 * @throws TierwiseError as `inferShapes` does
 */
export function summarize(model: ModelProto, options: ShapeOptions = {}): ModelSummary {
  const types = inferShapes(model, options);
  const flow = flowOf(model);
  const describe = (name: string): TensorSummary => {
    const { dtype, dims } = types.get(name)!;
    return { name, dtype, dims, bytes: tensorBytes({ dtype, dims }) };
  };
  const weighed = new Set<string>();
  const nodes = flow.nodes.map((node): NodeSummary => {
    let parameterBytes = 0;
    for (const name of node.input) {
      if (name === '' || flow.depends(name) || weighed.has(name)) continue;
      weighed.add(name);
      parameterBytes += tensorBytes(types.get(name)!);
    }
    return {
      name: node.name || nodeLabel(node),
      op: node.opType,
      inputs: node.input.filter((name) => name !== ''),
      outputs: node.output.filter((name) => name !== ''),
      flops: nodeFlops(node, types),
      parameterBytes,
    };
  });
  const names = new Set([...flow.inputs, ...nodes.flatMap((node) => node.outputs), ...flow.outputs]);
  const totals = { flops: 0, parameterBytes: 0 };
  for (const node of nodes) {
    totals.flops += node.flops;
    totals.parameterBytes += node.parameterBytes;
  }
  return {
    inputs: flow.inputs.map(describe),
    outputs: flow.outputs.map(describe),
    nodes,
    tensors: [...names].map(describe),
    totals,
    cuts: cutsOf(flow, nodes, totals, (name) => tensorBytes(types.get(name)!)),
  };
}

/**
 * One sweep over the nodes: the frontier holds what has been made and is still to be used. When it is one
 * tensor, all that follows needs that tensor alone. Since only nodes between inputs and outputs are looked at,
 * each tensor that separates the two is the whole frontier right after its own node, in any order of the nodes.
 */
function cutsOf(
  flow: Flow,
  nodes: readonly NodeSummary[],
  totals: ModelSummary['totals'],
  bytes: (name: string) => number,
): CutSummary[] {
  const lastUse = new Map<string, number>();
  for (const [i, node] of nodes.entries()) for (const name of node.inputs) lastUse.set(name, i);
  for (const name of flow.outputs) lastUse.set(name, Infinity);
  const frontier = new Set(flow.inputs.filter((name) => lastUse.has(name)));
  const cuts: CutSummary[] = [];
  let flopsBefore = 0;
  let parameterBytesBefore = 0;
  for (const [i, node] of nodes.entries()) {
    flopsBefore += node.flops;
    parameterBytesBefore += node.parameterBytes;
    for (const name of node.inputs) if (lastUse.get(name) === i) frontier.delete(name);
    for (const name of node.outputs) if (lastUse.has(name)) frontier.add(name);
    const [tensor] = frontier;
    if (frontier.size !== 1 || tensor === undefined || lastUse.get(tensor) === Infinity) continue;
    cuts.push({
      tensor,
      bytes: bytes(tensor),
      flopsBefore,
      flopsAfter: totals.flops - flopsBefore,
      parameterBytesBefore,
      parameterBytesAfter: totals.parameterBytes - parameterBytesBefore,
    });
  }
  return cuts;
}
