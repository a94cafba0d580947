export {
  type AttachOptions,
  attachedComposite,
  designFor,
  type ImportedBackbone,
  importBackbone,
  type Normalization,
  type NormalizationTrial,
  temperatureFor,
  temperatureOf,
  tryNormalizations,
} from './attach/index.ts';
export { writeBundle } from './bundle/bundle.ts';
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
} from './bundle/evaluate.ts';
export {
  type CompositeFiles,
  type CompositeGraph,
  type MakeOptions,
  makeComposite,
  networkComposite,
  subset,
} from './bundle/make.ts';
export { type NetworkEvaluation, type NetworkOptions, writeNetwork } from './bundle/network.ts';
export {
  atThreshold,
  type CurvePoint,
  chooseThreshold,
  type ExitSample,
  exitCurve,
  gainOfExits,
  printedThreshold,
  type ThresholdChoice,
  type ThresholdTargets,
} from './bundle/threshold.ts';
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
export { type TrainingFacts, trainingFacts } from './design/training-facts.ts';
export type { Backbone } from './frozen/backbone.ts';
export { takeWeights } from './frozen/backbone-training.ts';
export { observedRanges } from './frozen/int8.ts';
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
  addBranch,
  exportComposite,
  exportMain,
  pixelPreprocess,
  ports,
  stemDimsOf,
} from './networks/export.ts';
export { imagenetGraphs } from './networks/imagenet.ts';
export { findNetwork, mirrorOf, type Network, networks } from './networks/index.ts';
export { untrainedWeights } from './networks/untrained.ts';
export {
  type BranchBlock,
  type BranchChoice,
  type BranchDesign,
  depthwiseDesign,
  findRecipe,
  freeDesign,
  type RecipeName,
  recipeFor,
  recipes,
} from './recipes/index.ts';
export { startingValues } from './start/drawn.ts';
export { type OptimizerName, optimizers } from './step/optimizer.ts';
export { networkStep, studentTemperature, type TrainingStep } from './step/step.ts';
export { freshState, openStep, type StepRunner } from './step/step-runner.ts';
export type { ByHead, EpochRecord } from './training/checkpoint.ts';
export { backboneOf, type Phase, phaseOpener } from './training/phases.ts';
export { type PortablePlan, writePortableStep } from './training/portable.ts';
export { type AnySize, anySize } from './training/progressive.ts';
export { phaseName, runCurves, runRecordFiles, writeRunRecord } from './training/run-record.ts';
export { branchPhases, fineTuning, phasesOf } from './training/schedule.ts';
export {
  type Augmentation,
  augmentationFor,
  type PhaseKind,
  type PhaseSettings,
  type Schedule,
  schedules,
  type TrainingSettings,
} from './training/settings.ts';
export {
  type Trained,
  type TrainingProgress,
  type TrainOptions,
  train,
} from './training/trainer.ts';
