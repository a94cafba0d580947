import { type DType, tensor } from '@tierwise/core';
import { GraphBuilder, writeOnnx } from '@tierwise/graph';

/** y = relu(x * 2), then z = y + 1, over x [N, 3]. */
export function smallGraph(): Uint8Array {
  const b = new GraphBuilder('small');
  const x = b.input('x', 'float32', ['N', 3]);
  const y = b.relu(b.mul(x, b.scalar(2)), 'y');
  const z = b.add(y, b.scalar(1), 'z');
  b.output(z, 'float32', ['N', 3]);
  return writeOnnx(b.model);
}

/** One Identity of `dtype` over a vector. */
export function identityGraph(dtype: DType): Uint8Array {
  const b = new GraphBuilder('identity');
  b.output(b.op('Identity', [b.input('x', dtype, ['N'])]), dtype, ['N'], 'y');
  return writeOnnx(b.model);
}

/** Squares an n x n matrix `times` times: as much work for a few bytes of model as a test wants. */
export function heavyGraph(n: number, times: number): Uint8Array {
  const b = new GraphBuilder('heavy');
  let value = b.input('x', 'float32', [n, n]);
  for (let i = 0; i < times; i++) value = b.op('MatMul', [value, value]);
  b.output(value, 'float32', [n, n], 'y');
  return writeOnnx(b.model);
}

/** Reshapes x [N] to [2, 3]: fails while it runs unless N is 6. The node is called `Reshape_y`. */
export function pickyGraph(): Uint8Array {
  const b = new GraphBuilder('picky');
  const x = b.input('x', 'float32', ['N']);
  const y = b.op(
    'Reshape',
    [x, b.initializer('shape', tensor('int64', [2], BigInt64Array.of(2n, 3n)))],
    {},
    'y',
  );
  b.output(y, 'float32', [2, 3]);
  return writeOnnx(b.model);
}
