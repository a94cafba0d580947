export { writeBundle } from './bundle.ts';
export type { EpochRecord, TrainingSettings } from './checkpoint.ts';
export {
  type Dataset,
  type DatasetSplit,
  type DatasetWarning,
  type DownloadProgress,
  datasetNames,
  decodePicture,
  type LoadOptions,
  loadDataset,
  type Picture,
  type PictureSize,
  readPicture,
} from './data/index.ts';
export { type CurveCharts, curveBlocks } from './design/curve-blocks.ts';
export { heldBackSamples } from './design/held-back.ts';
export { type Interval, wilson } from './design/interval.ts';
export { rewriteManifest } from './design/rewrite.ts';
export {
  type Evaluation,
  evaluate,
  evaluationOf,
  judge,
  judgeBranch,
  type Measured,
  openComposite,
  thresholdOf,
} from './evaluate.ts';
export { exportComposite, ports } from './export.ts';
export { type CompositeFiles, makeComposite, subset } from './make.ts';
export { findNetwork, networks } from './networks/index.ts';
export { optimizers } from './optimizer.ts';
export type { Axis, BarChart, Block, LineChart, Series, TableBlock } from './report/blocks.ts';
export { reportPage } from './report/page.ts';
export { numberText } from './report/text.ts';
export {
  atThreshold,
  type CurvePoint,
  chooseThreshold,
  type ExitSample,
  exitCurve,
  printedThreshold,
  type ThresholdChoice,
  type ThresholdTargets,
} from './threshold.ts';
export { type TrainingProgress, train } from './trainer.ts';
export { untrainedWeights } from './untrained.ts';
