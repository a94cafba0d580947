import { type DType, isTierwiseError } from '@tierwise/core';
import type { ModelProto } from 'onnx-buf';
import { graphOf } from './flow.ts';
import { inferShapes, type ShapeOptions } from './shapes.ts';
import { type OpenDim, statedDims } from './value-info.ts';

/** A tensor's type with the dimensions that vary left open. */
export interface OpenType {
  readonly dtype: DType;
  readonly dims: readonly OpenDim[];
}

/** A dimension that the model leaves open, with two sizes to try it at. */
interface Symbol {
  readonly name: string | undefined;
  readonly sizes: readonly [number, number];
}

/**
 * Type of every tensor of `model`, dimensions that vary with an input's left open: by the input's own name for
 * it where they are equal to it, else without a name. Found by inferring shapes for two sizes of each open
 * dimension and comparing. A model that only works for one size (a Reshape to a batch of 1) has none open.
 * Tensors whose rank varies, which only shape arithmetic makes, are left out.
 * @throws TierwiseError as `inferShapes` does with `options`
 */
export function openShapes(model: ModelProto, options: ShapeOptions = {}): Map<string, OpenType> {
  const { symbols, inputs } = openInputs(model, options);
  if (symbols.length === 0) return inferShapes(model, options);
  const at = (turn: 0 | 1) => {
    const shapes = inputs.map(([name, dims]) => [
      name,
      dims.map((dim) => (typeof dim === 'number' ? dim : dim.sizes[turn])),
    ]);
    return inferShapes(model, { inputs: Object.fromEntries(shapes) });
  };
  let small: ReturnType<typeof inferShapes>;
  let large: ReturnType<typeof inferShapes>;
  try {
    small = at(0);
    large = at(1);
  } catch (error) {
    if (!isTierwiseError(error)) throw error;
    return inferShapes(model, options);
  }
  const open = new Map<string, OpenType>();
  for (const [name, { dtype, dims }] of small) {
    const others = large.get(name)!.dims;
    if (dims.length !== others.length) continue;
    const openDims = dims.map((dim, i): OpenDim => {
      if (dim === others[i]) return dim;
      return symbols.find(({ sizes }) => sizes[0] === dim && sizes[1] === others[i])?.name;
    });
    open.set(name, { dtype, dims: openDims });
  }
  return open;
}

/** The shapes of all inputs that are not weights, with a symbol in place of each dimension that is still open. */
function openInputs(model: ModelProto, options: ShapeOptions) {
  const graph = graphOf(model);
  const weights = new Set(graph.initializer.map(({ name }) => name));
  const symbols: Symbol[] = [];
  const inputs: [string, readonly (number | Symbol)[]][] = [];
  for (const input of graph.input) {
    const stated = options.inputs?.[input.name] ?? statedDims(input);
    if (weights.has(input.name) || stated === undefined) continue;
    const dims = stated.map((dim, axis) => {
      if (typeof dim === 'number') return dim;
      const bound = options.dims?.[dim ?? ''];
      if (bound !== undefined) return bound;
      const known = dim === undefined ? undefined : symbols.find(({ name }) => name === dim);
      if (known !== undefined) return known;
      // Twice the size shows through every stride up to 256, where a little more may round to the same. Sizes of
      // different symbols differ, so that a dimension can be told to be equal to one of them.
      const n = symbols.length;
      const size = axis === 0 ? 3 + 2 * n : 64 * (4 + n);
      const symbol: Symbol = { name: dim, sizes: [size, 2 * size] };
      symbols.push(symbol);
      return symbol;
    });
    inputs.push([input.name, dims]);
  }
  return { symbols, inputs };
}
