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
export { type Evaluation, evaluate, judgeBranch, type Measured, openComposite } from './evaluate.ts';
export { exportComposite, ports } from './export.ts';
export { type CompositeFiles, makeComposite, subset } from './make.ts';
export { findNetwork, networks } from './networks/index.ts';
export { optimizers } from './optimizer.ts';
export { chooseThreshold, type ExitSample, type ThresholdChoice } from './threshold.ts';
export { type TrainingProgress, train } from './trainer.ts';
export { untrainedWeights } from './untrained.ts';
