import { elementCount, TierwiseError } from '@tierwise/core';
import {
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProto_DataType,
} from 'onnx-buf';
import { isShape } from './dims.ts';

/** Bits that one element of an ONNX type takes in raw data; packed types below eight bits fill whole bytes. */
export const bitsPerElement: Readonly<Record<number, number>> = {
  [TensorProto_DataType.FLOAT]: 32,
  [TensorProto_DataType.UINT8]: 8,
  [TensorProto_DataType.INT8]: 8,
  [TensorProto_DataType.UINT16]: 16,
  [TensorProto_DataType.INT16]: 16,
  [TensorProto_DataType.INT32]: 32,
  [TensorProto_DataType.INT64]: 64,
  [TensorProto_DataType.BOOL]: 8,
  [TensorProto_DataType.FLOAT16]: 16,
  [TensorProto_DataType.DOUBLE]: 64,
  [TensorProto_DataType.UINT32]: 32,
  [TensorProto_DataType.UINT64]: 64,
  [TensorProto_DataType.COMPLEX64]: 64,
  [TensorProto_DataType.COMPLEX128]: 128,
  [TensorProto_DataType.BFLOAT16]: 16,
  [TensorProto_DataType.FLOAT8E4M3FN]: 8,
  [TensorProto_DataType.FLOAT8E4M3FNUZ]: 8,
  [TensorProto_DataType.FLOAT8E5M2]: 8,
  [TensorProto_DataType.FLOAT8E5M2FNUZ]: 8,
  [TensorProto_DataType.FLOAT8E8M0]: 8,
  [TensorProto_DataType.UINT4]: 4,
  [TensorProto_DataType.INT4]: 4,
  [TensorProto_DataType.FLOAT4E2M1]: 4,
  [TensorProto_DataType.UINT2]: 2,
  [TensorProto_DataType.INT2]: 2,
};

/** How a message names a node: its operator and its name, or the first tensor it makes when it has none. */
export function nodeLabel(node: NodeProto): string {
  return `${node.opType || 'operator'} "${node.name || (node.output[0] ?? '')}"`;
}

/**
 * Checks what `readOnnx` promises of a decoded model. O(nodes + tensors); looks at no element.
 * @throws TierwiseError MODEL_CORRUPT or MODEL_UNSUPPORTED, naming `where` and the node or tensor
 */
export function checkModel(
  model: ModelProto,
  where: string,
): asserts model is ModelProto & { graph: GraphProto } {
  const fail: Fail = corrupt(where);
  const graph = model.graph;
  if (graph === undefined) fail('it holds no graph');
  if (graph.output.length === 0) fail('its graph has no output');
  const opset = model.opsetImport.find((set) => set.domain === '' || set.domain === 'ai.onnx');
  if (opset === undefined || opset.version < 1n) fail('it states no version of the ONNX operators');
  if (graph.sparseInitializer.length > 0) {
    throw new TierwiseError('MODEL_UNSUPPORTED', `${where}: sparse initializers are not supported`, {
      where,
    });
  }
  const made = new Set<string>();
  for (const tensor of graph.initializer) {
    if (tensor.name === '') fail('an initializer has no name');
    if (made.has(tensor.name)) fail(`two initializers are called "${tensor.name}"`, tensor.name);
    checkTensor(tensor, where);
    made.add(tensor.name);
  }
  const inputs = new Set<string>();
  for (const input of graph.input) {
    if (input.name === '') fail('a graph input has no name');
    if (inputs.has(input.name)) fail(`two graph inputs are called "${input.name}"`, input.name);
    if (input.type === undefined) fail(`graph input "${input.name}" has no type`, input.name);
    inputs.add(input.name);
    made.add(input.name);
  }
  for (const node of graph.node) checkNode(node, made, where);
  const outputs = new Set<string>();
  for (const output of graph.output) {
    if (outputs.has(output.name)) fail(`two graph outputs are called "${output.name}"`, output.name);
    outputs.add(output.name);
    if (!made.has(output.name)) fail(`nothing makes the graph output "${output.name}"`, output.name);
  }
}

/** Checks one node against the names `made` before it, and adds the names it makes. */
function checkNode(node: NodeProto, made: Set<string>, where: string): void {
  const fail: Fail = corrupt(where);
  if (node.opType === '') fail(`${nodeLabel(node)} has no type`, node.name);
  for (const name of node.input) {
    if (name !== '' && !made.has(name)) {
      fail(`${nodeLabel(node)} takes "${name}", which nothing before it makes`, name);
    }
  }
  if (!node.output.some((name) => name !== '')) fail(`${nodeLabel(node)} has no output`, node.name);
  for (const name of node.output) {
    if (name === '') continue;
    if (made.has(name)) fail(`"${name}" is made twice`, name);
    made.add(name);
  }
  for (const attribute of node.attribute) {
    for (const tensor of [...(attribute.t ? [attribute.t] : []), ...attribute.tensors]) {
      checkTensor(tensor, where, `${attribute.name} of ${nodeLabel(node)}`);
    }
  }
}

/** Whether a tensor's data is in a file of its own. */
export const isExternal = ({ dataLocation, externalData }: TensorProto): boolean =>
  dataLocation === TensorProto_DataLocation.EXTERNAL || externalData.length > 0;

/**
 * Checks that a stored tensor holds its data in the file and exactly as much of it as its shape says.
 * @throws TierwiseError MODEL_CORRUPT or MODEL_UNSUPPORTED
 */
function checkTensor(proto: TensorProto, where: string, label = `tensor "${proto.name}"`): void {
  const fail: Fail = corrupt(where);
  if (isExternal(proto)) {
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      `${where}: ${label} is stored in another file; save the model with its weights inside`,
      { where, tensor: proto.name },
    );
  }
  const dims = proto.dims.map(Number);
  if (!isShape(dims)) fail(`${label} has the shape [${dims.slice(0, 8)}]`, proto.name);
  const elements = elementCount(dims);
  if (proto.dataType === TensorProto_DataType.STRING) {
    if (proto.stringData.length !== elements) fail(`${label} lacks strings`, proto.name);
    return;
  }
  const bits = bitsPerElement[proto.dataType];
  if (bits === undefined) fail(`${label} has the unknown element type ${proto.dataType}`, proto.name);
  if (proto.rawData.length > 0) {
    const expected = Math.ceil((elements * bits) / 8);
    if (proto.rawData.length !== expected) {
      fail(`${label} holds ${proto.rawData.length} bytes, its shape asks for ${expected}`, proto.name);
    }
    return;
  }
  const stored = typedLength(proto);
  const expected = storedCount(proto.dataType, elements, bits);
  if (stored !== expected)
    fail(`${label} holds ${stored} values, its shape asks for ${expected}`, proto.name);
}

/** Entries in the typed field that belongs to the tensor's element type. */
function typedLength(proto: TensorProto): number {
  switch (proto.dataType) {
    case TensorProto_DataType.FLOAT:
    case TensorProto_DataType.COMPLEX64:
      return proto.floatData.length;
    case TensorProto_DataType.DOUBLE:
    case TensorProto_DataType.COMPLEX128:
      return proto.doubleData.length;
    case TensorProto_DataType.INT64:
      return proto.int64Data.length;
    case TensorProto_DataType.UINT32:
    case TensorProto_DataType.UINT64:
      return proto.uint64Data.length;
    default:
      return proto.int32Data.length;
  }
}

/** Entries that `elements` of a type take in its typed field: complex takes two, packed types share a byte. */
function storedCount(dataType: number, elements: number, bits: number): number {
  if (dataType === TensorProto_DataType.COMPLEX64 || dataType === TensorProto_DataType.COMPLEX128)
    return elements * 2;
  return bits < 8 ? Math.ceil((elements * bits) / 8) : elements;
}

type Fail = (reason: string, tensor?: string) => never;

function corrupt(where: string): Fail {
  return (reason, tensor) => {
    throw new TierwiseError('MODEL_CORRUPT', `${where}: ${reason}`, { where, tensor });
  };
}
