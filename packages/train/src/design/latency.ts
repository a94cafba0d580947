import { type Context, transferMs } from '@tierwise/plan';

/** A branch on the way of a sample through the device. */
export interface BranchStage {
  /** What this branch adds to the first visit: its own file and the real layers up to where it leaves. */
  readonly downloadBytes: number;
  /** Those real layers and the branch itself. */
  readonly deviceMs: number;
  /** Share of the samples that reach this branch and exit at it. */
  readonly exitRate: number;
}

/** What happens to a sample that exits nowhere. */
export interface LastStage {
  readonly uplinkBytes: number;
  readonly edgeMs: number;
  /** The result comes back as float32 scores. */
  readonly classes: number;
}

/** Milliseconds that one sample is expected to take. */
export interface ExpectedLatency {
  /** The first one, with what has to be fetched before. */
  readonly coldMs: number;
  readonly warmMs: number;
  /** The mean of a visit of `visitSamples`. */
  readonly amortizedMs: number;
}

/** Samples of a visit over which downloads are spread; LcDNN's tables are means of so many. */
export const visitSamples = 100;

/**
 * Expected latency with one or more branches. With a_k the share of samples that reaches branch k,
 *
 *     warm = sum_k a_k t_k + a_(n+1) (T_tx(w) + T_edge + T_rx(scores)),   a_1 = 1,  a_(k+1) = a_k (1 - e_k)
 *     cold = warm + sum_k a_k T_down(m_k),   amortised = warm + sum_k T_down(m_k) / 100
 *
 * Source: LcDNN (IEEE TMC, doi 10.1109/TMC.2020.3043051) eq. 11-16. Deviations: e_k are measured exit rates, where the
 * paper has ratios of accuracies, which are far from them (systems.md section 6.5); T_k is the time until branch k has
 * answered, so that a sample pays for each branch once, where eq. 14 as printed adds the T_k up again; downloads are
 * kept apart; the way back is counted. With one branch `warmMs` is what `predict` of @tierwise/plan says.
 */
export function expectedLatency(
  branches: readonly BranchStage[],
  last: LastStage,
  context: Context,
): ExpectedLatency {
  const { uplinkBitsPerSecond, downlinkBitsPerSecond, roundTripMs } = context;
  let reach = 1;
  let [warmMs, firstMs, allMs] = [0, 0, 0];
  for (const { downloadBytes, deviceMs, exitRate } of branches) {
    // Asking for a file and getting it takes a whole round trip.
    const fetchMs =
      downloadBytes > 0 ? transferMs(downloadBytes, downlinkBitsPerSecond, roundTripMs) + roundTripMs / 2 : 0;
    warmMs += reach * deviceMs;
    firstMs += reach * fetchMs;
    allMs += fetchMs;
    reach *= 1 - exitRate;
  }
  if (reach > 0)
    warmMs +=
      reach *
      (transferMs(last.uplinkBytes, uplinkBitsPerSecond, roundTripMs) +
        last.edgeMs +
        transferMs(4 * last.classes, downlinkBitsPerSecond, roundTripMs));
  return { coldMs: warmMs + firstMs, warmMs, amortizedMs: warmMs + allMs / visitSamples };
}
