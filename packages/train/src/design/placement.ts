import type { ModelSummary } from '@tierwise/core';
import { type CodecPolicy, type Context, encodedBytes } from '@tierwise/plan';
import { type BranchStage, type ExpectedLatency, expectedLatency, type LastStage } from './latency.ts';
import { type BranchPlace, branchPlaces } from './places.ts';

/** What is assumed of the machines and the branch. */
export interface PlacementOptions {
  readonly deviceFlopsPerSecond: number;
  readonly edgeFlopsPerSecond: number;
  /** How many times as many operations a second the device does in binary layers. */
  readonly binarySpeedup: number;
  /** Share of samples that exit at a branch, wherever it leaves. */
  readonly exitRate: number;
  /** How the tensor at the cut is sent. */
  readonly codec: CodecPolicy;
  /** A branch that is there, whose size is known. */
  readonly known?: { readonly tensor: string; readonly branchBytes: number } | undefined;
}

/** What a branch at one place costs, and the latency that is expected with it. */
export interface PlacedBranch {
  readonly place: BranchPlace;
  readonly downloadBytes: number;
  readonly deviceMs: number;
  readonly uplinkBytes: number;
  readonly latency: ExpectedLatency;
  /**
   * The exit rate from which on a branch here is faster than the first one, amortised; undefined where even a branch
   * that answers everything is not. 0..1.
   */
  readonly neededExitRate: number | undefined;
}

/** A branch at the first place and a second one. */
export interface SecondBranch {
  readonly place: BranchPlace;
  /** With the same exit rate among the samples that reach it. */
  readonly latency: ExpectedLatency;
  /** Share of those samples that would have to exit there to make it worth its download; undefined: more than all. */
  readonly neededExitRate: number | undefined;
}

/** Every place that a branch can leave at, beside doing without one. */
export interface Placement {
  readonly places: readonly PlacedBranch[];
  readonly second: readonly SecondBranch[];
  /** Without any branch: the picture in 8 bits a value to the edge, or the whole network to the device. */
  readonly sendPicture: ExpectedLatency;
  readonly wholeOnDevice: ExpectedLatency;
}

/** The least e in 0..1 with `fixed` + (1 - e) * `rest` <= `limit`; undefined where there is none. */
function least(fixed: number, rest: number, limit: number): number | undefined {
  if (fixed > limit) return undefined;
  return Math.max(0, 1 - (limit - fixed) / rest);
}

/** What a branch would cost at each place of a network on a link, a second one, and none. */
export function comparePlaces(summary: ModelSummary, options: PlacementOptions, context: Context): Placement {
  const { deviceFlopsPerSecond, edgeFlopsPerSecond, binarySpeedup, exitRate, codec, known } = options;
  const classes = summary.outputs[0]!.dims.reduce((a, d) => a * d, 1);
  const realMs = (flops: number) => (1000 * flops) / deviceFlopsPerSecond;
  const edgeMs = (flops: number) => (1000 * flops) / edgeFlopsPerSecond;
  const branchMs = (place: BranchPlace) => realMs(place.binaryFlops / binarySpeedup + place.realFlops);
  const branchBytes = (place: BranchPlace) =>
    known?.tensor === place.tensor ? known.branchBytes : place.branchBytes;
  const lastOf = (place: BranchPlace): LastStage => ({
    uplinkBytes: encodedBytes({ tensor: place.tensor, dims: [...place.dims] }, codec),
    edgeMs: edgeMs(place.restFlops),
    classes,
  });
  const stageOf = (place: BranchPlace): BranchStage => ({
    // A branch that is there brings its stem along.
    downloadBytes: branchBytes(place) + (known?.tensor === place.tensor ? 0 : place.headBytes),
    deviceMs: realMs(place.headFlops) + branchMs(place),
    exitRate,
  });
  /** What is spent whether or not the sample exits at the last of `stages`, and what more when it does not. */
  const parts = (stages: readonly BranchStage[], last: LastStage) => {
    const final = { ...stages.at(-1)!, exitRate: 1 };
    const fixed = expectedLatency([...stages.slice(0, -1), final], last, context).amortizedMs;
    const none = [...stages.slice(0, -1), { ...final, exitRate: 0 }];
    return { fixed, rest: expectedLatency(none, last, context).amortizedMs - fixed };
  };

  const found = branchPlaces(summary);
  const first = found.find(({ tensor }) => tensor === known?.tensor) ?? found[0]!;
  const firstStage = stageOf(first);
  const limit = expectedLatency([firstStage], lastOf(first), context).amortizedMs;
  const places = found.map((place): PlacedBranch => {
    const [stage, last] = [stageOf(place), lastOf(place)];
    const { fixed, rest } = parts([stage], last);
    return {
      place,
      downloadBytes: stage.downloadBytes,
      deviceMs: stage.deviceMs,
      uplinkBytes: last.uplinkBytes,
      latency: expectedLatency([stage], last, context),
      neededExitRate: least(fixed, rest, limit),
    };
  });
  const second = found
    .filter(({ layersBefore }) => layersBefore > first.layersBefore)
    .map((place): SecondBranch => {
      const stage: BranchStage = {
        downloadBytes: branchBytes(place) + place.headBytes - first.headBytes,
        deviceMs: realMs(place.headFlops - first.headFlops) + branchMs(place),
        exitRate,
      };
      const stages = [firstStage, stage];
      const { fixed, rest } = parts(stages, lastOf(place));
      return {
        place,
        latency: expectedLatency(stages, lastOf(place), context),
        neededExitRate: least(fixed, rest, limit),
      };
    });
  const none = (deviceMs: number, downloadBytes: number, exits: 0 | 1) =>
    expectedLatency(
      [{ deviceMs, downloadBytes, exitRate: exits }],
      {
        uplinkBytes: summary.inputs[0]!.dims.reduce((a, d) => a * d, 1),
        edgeMs: edgeMs(summary.totals.flops),
        classes,
      },
      context,
    );
  return {
    places,
    second,
    sendPicture: none(0, 0, 0),
    wholeOnDevice: none(realMs(summary.totals.flops), summary.totals.parameterBytes, 1),
  };
}
