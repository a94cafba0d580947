export {
  type AttachOptions,
  attachedComposite,
  designFor,
  type ImportedBackbone,
  importBackbone,
  type Normalization,
  type NormalizationTrial,
  temperatureFor,
  tryNormalizations,
} from './attach/index.ts';
export type { Backbone } from './backbone.ts';
export { takeWeights } from './backbone-training.ts';
export { writeBundle } from './bundle.ts';
export type { ByHead, EpochRecord } from './checkpoint.ts';
export { type Calibration, calibrationOf, type ReliabilityBin } from './confidence/calibration.ts';
export {
  branchScores,
  type ClassConfidence,
  type Confidence,
  measureConfidence,
} from './confidence/confidence.ts';
export {
  energies,
  type Rejection,
  type RejectionThreshold,
  rejectionThreshold,
} from './confidence/rejection.ts';
export { confidenceReport, rejectionText } from './confidence/report.ts';
export { type CurveCharts, curveBlocks } from './design/curve-blocks.ts';
export {
  type Exploration,
  type ExploredBranch,
  type ExploreSettings,
  exploreBranches,
} from './design/explore.ts';
export { heldBackSamples } from './design/held-back.ts';
export { type Interval, wilson } from './design/interval.ts';
export {
  type BranchStage,
  type ExpectedLatency,
  expectedLatency,
  type LastStage,
  visitSamples,
} from './design/latency.ts';
export {
  comparePlaces,
  type PlacedBranch,
  type Placement,
  type PlacementOptions,
  type SecondBranch,
} from './design/placement.ts';
export { type BranchPlace, branchPlaces } from './design/places.ts';
export { rewriteManifest } from './design/rewrite.ts';
export { type RivalOptions, trainRival } from './design/rival.ts';
export { type TrainingFacts, trainingFacts } from './design/training-facts.ts';
export {
  type Evaluation,
  evaluate,
  evaluationOf,
  judge,
  judgeBranch,
  type Measured,
  openBundled,
  openComposite,
  thresholdOf,
} from './evaluate.ts';
export {
  addBranch,
  exportComposite,
  exportMain,
  pixelPreprocess,
  ports,
  stemDimsOf,
} from './export.ts';
export { observedRanges } from './int8.ts';
export type { Weights } from './layers/inference.ts';
export {
  type Inverter,
  type Leakage,
  type LeakageRow,
  measureLeakage,
  type Precision,
  type Rebuilt,
} from './leakage/leakage.ts';
export { leakageNotes, leakageReport, precisionText, psnrText } from './leakage/report.ts';
export {
  type CompositeFiles,
  type CompositeGraph,
  type MakeOptions,
  makeComposite,
  networkComposite,
  subset,
} from './make.ts';
export { imagenetGraphs } from './networks/imagenet.ts';
export { findNetwork, type Network, networks } from './networks/index.ts';
export { type OptimizerName, optimizers } from './optimizer.ts';
export { backboneOf, type Phase, phaseOpener } from './phases.ts';
export { type PortablePlan, writePortableStep } from './portable.ts';
export { checkAnySize } from './progressive.ts';
export {
  type BranchBlock,
  type BranchChoice,
  type BranchDesign,
  findRecipe,
  freeDesign,
  type RecipeName,
  recipeFor,
  recipes,
} from './recipes/index.ts';
export { phaseName, runCurves, runRecordFiles, writeRunRecord } from './run-record.ts';
export { branchPhases, fineTuning, phasesOf, type Schedule, schedules } from './schedule.ts';
export {
  type Augmentation,
  augmentationFor,
  mirrorOf,
  type PhaseKind,
  type PhaseSettings,
  type TrainingSettings,
} from './settings.ts';
export { startingValues } from './start/drawn.ts';
export { branchTemperature, networkStep, type TrainingStep } from './step.ts';
export { freshState, openStep, type StepRunner } from './step-runner.ts';
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
export {
  type Trained,
  type TrainingProgress,
  type TrainOptions,
  train,
} from './trainer.ts';
export { untrainedWeights } from './untrained.ts';
