import { type Tensor, tensor } from '@tierwise/core';
import { dequantize, type PackedBits, pack, quantize, unpack } from '@tierwise/wire';

/** One way to write a tensor into bytes and back. */
export interface Codec {
  readonly name: string;
  pack(values: Float32Array): Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>;
  unpack(bytes: Uint8Array<ArrayBuffer>): Float32Array | Promise<Float32Array>;
}

/** The range that codes share, and the shape of what is packed. */
export interface Packing {
  readonly dims: readonly number[];
  readonly lo: number;
  readonly hi: number;
}

/** Ours in `bits`, as a page packs and an edge unpacks. */
export function ours(bits: PackedBits, { dims, lo, hi }: Packing): Codec {
  return {
    name: bits === 1 ? '1 bit' : `${bits} bits`,
    pack: (values) =>
      pack(tensor('float32', dims, values as Tensor<'float32'>['data']), { kind: 'packed', bits, lo, hi }),
    unpack: (bytes) => unpack(bytes).data,
  };
}

/** What a page has without us: deflate of codes in 8 bits, JSON of the numbers, the numbers as they are. */
export function rivals({ lo, hi }: Packing): Codec[] {
  const range = { bits: 8, lo, hi } as const;
  return [
    {
      name: 'deflate',
      pack: (values) => through(quantize(values, range), new CompressionStream('deflate-raw')),
      unpack: async (bytes) =>
        dequantize(await through(bytes, new DecompressionStream('deflate-raw')), range),
    },
    {
      name: 'json',
      pack: (values) => new TextEncoder().encode(JSON.stringify([...values])),
      unpack: (bytes) => Float32Array.from(JSON.parse(new TextDecoder().decode(bytes))),
    },
    {
      name: 'copy',
      pack: (values) => new Uint8Array(values.slice().buffer),
      unpack: (bytes) => new Float32Array(bytes.slice().buffer),
    },
  ];
}

async function through(
  bytes: Uint8Array<ArrayBuffer>,
  stream: GenericTransformStream,
): Promise<Uint8Array<ArrayBuffer>> {
  const passed = new Blob([bytes])
    .stream()
    .pipeThrough(stream as ReadableWritablePair<Uint8Array<ArrayBuffer>>);
  return new Uint8Array(await new Response(passed).arrayBuffer());
}
