export * from './attributes.ts';
export { differentiableOps, differentiate } from './autodiff/index.ts';
export { productsOnSmallMaps } from './autodiff/small-maps.ts';
export { type AttributeValue, type Dim, GraphBuilder, opset, type Value } from './builder.ts';
export { nodeLabel } from './check.ts';
export * from './cut.ts';
export { externalFiles, readOnnxWith } from './external.ts';
export * from './flops.ts';
export { type Flow, flowOf } from './flow.ts';
export { foldAffine } from './fold.ts';
export { type Classifier, type ImportOptions, importClassifier } from './import/classifier.ts';
export { constantPart, storeConstants } from './import/constants.ts';
export {
  type GraphProto,
  type ModelProto,
  type NodeProto,
  readOnnx,
  type TensorProto,
  type ValueInfoProto,
  writeOnnx,
} from './model.ts';
export { calibrationTensors, quantizeInt8, type Range } from './quantize-int8.ts';
export * from './shapes.ts';
export * from './stem.ts';
export * from './summary.ts';
export * from './tensors.ts';
export { type OpenDim, statedDims } from './value-info.ts';
