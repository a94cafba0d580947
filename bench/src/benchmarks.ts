import { benchBranch, branchCases } from './branch.ts';
import { cancelled } from './browser.ts';
import { benchEdge, edgeCases } from './edge.ts';
import { benchFig13, fig13Cases } from './fig13.ts';
import { benchFirstAnswer, firstAnswerCases } from './first-answer.ts';
import { benchKernels } from './kernels.ts';
import { layerCases } from './layers.ts';
import type { BenchOptions } from './options.ts';
import { benchPlan, planCases } from './plan.ts';
import type { BenchResult } from './result.ts';
import { benchTable1 } from './table1.ts';
import { table1Rows } from './table1-rows.ts';
import { benchTrain, trainCases } from './train.ts';
import { benchWire, wireCases } from './wire.ts';

interface Benchmark {
  /** What it measures, in a few words. */
  readonly summary: string;
  readonly cases: readonly string[];
  run(options: BenchOptions): Promise<BenchResult>;
}

const names = (cases: readonly { readonly name: string }[]) => cases.map(({ name }) => name);

/** `run`, which fails with CANCELLED when it was cancelled, whatever that broke. */
function cancellable(run: Benchmark['run']): Benchmark['run'] {
  return async (options) => {
    try {
      return await run(options);
    } catch (error) {
      throw options.signal.aborted ? cancelled(options.signal) : error;
    }
  };
}

/** Every benchmark by name. */
export const benchmarks = {
  kernels: {
    summary: 'single layers of the device engine, against the machine and two runtimes',
    cases: names(layerCases),
    run: cancellable(benchKernels),
  },
  branch: {
    summary: 'whole branches, against the whole network in onnxruntime-web',
    cases: names(branchCases),
    run: cancellable(benchBranch),
  },
  'first-answer': {
    summary: 'from a cold cache to the first answer, over a slow link with a slow CPU',
    cases: names(firstAnswerCases),
    run: cancellable(benchFirstAnswer),
  },
  table1: {
    summary: "accuracies, exits and bytes beside LcDNN's Table 1",
    cases: names(table1Rows),
    run: cancellable((options) => benchTable1(options)),
  },
  fig13: {
    summary: "accuracy, bytes and speed beside compressed networks: LcDNN's Fig. 13",
    cases: names(fig13Cases),
    run: cancellable((options) => benchFig13(options)),
  },
  train: {
    summary: 'training steps in onnxruntime, against its own matrix product and tfjs',
    cases: names(trainCases),
    run: cancellable(benchTrain),
  },
  edge: {
    summary: 'a real edge under load, against a naive server and onnxruntime alone',
    cases: names(edgeCases),
    run: cancellable(benchEdge),
  },
  wire: {
    summary: 'packing of tensors in a page, against deflate, JSON and a copy',
    cases: names(wireCases),
    run: cancellable(benchWire),
  },
  plan: {
    summary: 'making a Plan, and comparing places for a branch, against reading the inputs',
    cases: names(planCases),
    run: cancellable(benchPlan),
  },
} as const satisfies Record<string, Benchmark>;

export type BenchName = keyof typeof benchmarks;
