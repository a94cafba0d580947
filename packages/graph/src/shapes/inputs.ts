import { TierwiseError } from '@tierwise/core';
import type { ValueInfoProto } from 'onnx-buf';
import { isShape } from '../dims.ts';
import { dtypeOf } from '../tensors.ts';
import { statedDims } from '../value-info.ts';
import type { TensorType } from './scope.ts';

/**
 * `dims` gives sizes to symbolic dimensions by their name, `inputs` whole shapes to graph inputs and wins. The
 * first dimension of an input is 1 when nothing says otherwise, and so is every dimension of the same name.
 */
export interface ShapeOptions {
  readonly dims?: Readonly<Record<string, number>>;
  readonly inputs?: Readonly<Record<string, readonly number[]>>;
}

/** Types of the graph inputs that are not among `weights`. @throws TierwiseError TENSOR_INVALID on an open dimension */
export function inputTypes(
  infos: readonly ValueInfoProto[],
  weights: ReadonlyMap<string, unknown>,
  options: ShapeOptions,
): Map<string, TensorType> {
  const inputs = infos.filter(({ name }) => !weights.has(name));
  const sizes = new Map<string, number>();
  for (const input of inputs) {
    const first = statedDims(input)?.[0];
    if (typeof first === 'string') sizes.set(first, 1);
  }
  for (const [name, size] of Object.entries(options.dims ?? {})) sizes.set(name, size);
  return new Map(inputs.map((input) => [input.name, inputType(input, sizes, options.inputs?.[input.name])]));
}

function inputType(
  input: ValueInfoProto,
  sizes: ReadonlyMap<string, number>,
  given: readonly number[] | undefined,
): TensorType {
  const label = `input "${input.name}"`;
  const invalid = (reason: string): never => {
    throw new TierwiseError('TENSOR_INVALID', `${label} ${reason}`, { tensor: input.name });
  };
  if (input.type?.value.case !== 'tensorType') {
    throw new TierwiseError('MODEL_UNSUPPORTED', `${label} is not a tensor`, { tensor: input.name });
  }
  const dtype = dtypeOf(input.type.value.value.elemType, label);
  const stated = statedDims(input);
  if (given !== undefined && stated !== undefined) {
    const fits =
      given.length === stated.length && stated.every((dim, i) => typeof dim !== 'number' || dim === given[i]);
    if (!fits) invalid(`of shape [${stated.map((dim) => dim ?? '?')}] cannot be [${given}]`);
  }
  const dims =
    given ??
    (stated ?? invalid('has no shape in the model: give it one')).map((dim, i) => {
      if (typeof dim === 'number') return dim;
      const size = sizes.get(dim ?? '') ?? (i === 0 ? 1 : undefined);
      return (
        size ?? invalid(`has an open dimension ${i}${dim === undefined ? '' : ` ("${dim}")`}: give it a size`)
      );
    });
  if (!isShape(dims)) invalid(`cannot have the shape [${dims}]`);
  return { dtype, dims };
}
