import { fromFloat16, tensor } from '@tierwise/core';
import {
  type ModelProto,
  type TensorProto,
  TensorProto_DataType as Type,
  type ValueInfoProto,
} from 'onnx-buf';
import { attrInt, intAttribute, tensorAttribute } from '../attributes.ts';
import { changed } from '../changed.ts';
import { graphOf } from '../flow.ts';
import { fromTensorProto, toTensorProto } from '../tensors.ts';
import { statedDims, valueInfo } from '../value-info.ts';

/**
 * `model` with float32 in the place of float16, which holds the same weights exactly: what is trained and deployed is
 * float32. Undefined for a model without float16.
 */
export function widened(model: ModelProto): ModelProto | undefined {
  const graph = graphOf(model);
  let changes = 0;
  const wide = (proto: TensorProto): TensorProto => {
    if (proto.dataType !== Type.FLOAT16) return proto;
    changes++;
    const { dims, data } = fromTensorProto(proto);
    return toTensorProto(proto.name, tensor('float32', dims, fromFloat16(data as Uint16Array)));
  };
  const port = (info: ValueInfoProto): ValueInfoProto => {
    const type = info.type?.value;
    if (type?.case !== 'tensorType' || type.value.elemType !== Type.FLOAT16) return info;
    changes++;
    return valueInfo(info.name, 'float32', statedDims(info) ?? []);
  };
  const node = graph.node.map((old) =>
    changed(old, {
      attribute: old.attribute.map((one) => {
        if (old.opType === 'Cast' && attrInt(old, 'to', 0) === Type.FLOAT16 && one.name === 'to')
          return intAttribute('to', Type.FLOAT);
        return one.t?.dataType === Type.FLOAT16
          ? tensorAttribute(one.name, fromTensorProto(wide(one.t)))
          : one;
      }),
    }),
  );
  const initializer = graph.initializer.map(wide);
  const [input, output] = [graph.input.map(port), graph.output.map(port)];
  if (changes === 0) return undefined;
  return changed(model, { graph: changed(graph, { node, initializer, input, output, valueInfo: [] }) });
}
