/*
 * The smallest ONNX writer: enough of protobuf for graphs of nodes without attributes over float32 tensors.
 * Field numbers are those of onnx.proto.
 */

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
}

/** One field: a number as varint, else bytes with their length before them. */
function field(number: number, value: number | Uint8Array): Uint8Array {
  if (typeof value === 'number') return Uint8Array.from([...varint(number << 3), ...varint(value)]);
  return Uint8Array.from([...varint((number << 3) | 2), ...varint(value.length), ...value]);
}

function message(...fields: Uint8Array[]): Uint8Array {
  return Uint8Array.from(fields.flatMap((bytes) => [...bytes]));
}

/** ValueInfoProto of a float32 tensor. */
function port(name: string, dims: readonly number[]): Uint8Array {
  const shape = message(...dims.map((dim) => field(1, field(1, dim))));
  const tensorType = message(field(1, 1), field(2, shape));
  return message(field(1, text(name)), field(2, field(1, tensorType)));
}

export interface TinyNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
}

/** A model of opset 13 whose ports all have the shape `dims`. */
export function tinyOnnx(
  dims: readonly number[],
  inputs: readonly string[],
  nodes: readonly TinyNode[],
  outputs: readonly string[],
): Uint8Array {
  const graph = message(
    ...nodes.map(({ op, inputs: from, output }) =>
      field(
        1,
        message(...from.map((name) => field(1, text(name))), field(2, text(output)), field(4, text(op))),
      ),
    ),
    field(2, text('tiny')),
    ...inputs.map((name) => field(11, port(name, dims))),
    ...outputs.map((name) => field(12, port(name, dims))),
  );
  return message(field(1, 8), field(7, graph), field(8, message(field(1, text('')), field(2, 13))));
}
