/** A sample of which a device told what its branch thought, and what the whole network then said. */
export interface AuditedSample {
  /** Normalised entropy of the branch, 0..1. */
  readonly entropy: number;
  readonly branchClass: number;
  readonly mainClass: number;
  /** The chance with which a device that is sure sends a sample all the same; undefined for one that was unsure. */
  readonly share: number | undefined;
}

/**
 * What a random share of confident exits tells about all of them: each counts 1 / share times, so nothing is biased
 * towards the unsure samples, which all come. Counts only: neither pictures nor feature maps are kept.
 */
export interface Audit {
  add(sample: AuditedSample): void;
  report(labels: readonly string[]): AuditReport;
}

export interface AuditReport {
  /** Samples as they came, and those among them that a sure device sent. */
  readonly samples: number;
  readonly audited: number;
  /** For each threshold: the share that would stay on the device, and the share answered as the whole network would. */
  readonly thresholds: readonly { threshold: number; exitRate: number; agreement: number }[];
  /** For each class that the whole network answered: its share of all samples, and how many of them the branch says, too. */
  readonly classes: readonly { label: string; share: number; branchAgrees: number }[];
}

/** Thresholds are told apart in hundredths. */
const bins = 100;

export function createAudit(classes: number): Audit {
  let samples = 0;
  let audited = 0;
  const weight = new Float64Array(bins);
  const wrong = new Float64Array(bins);
  const byClass = new Float64Array(classes);
  const agreeing = new Float64Array(classes);
  return {
    add({ entropy, branchClass, mainClass, share }) {
      const bin = Math.min(bins - 1, Math.floor(entropy * bins));
      const counts = 1 / (share ?? 1);
      const agrees = branchClass === mainClass;
      samples++;
      if (share !== undefined) audited++;
      weight[bin]! += counts;
      byClass[mainClass]! += counts;
      if (agrees) agreeing[mainClass]! += counts;
      else wrong[bin]! += counts;
    },
    report(labels) {
      const total = weight.reduce((sum, value) => sum + value, 0);
      if (total === 0) return { samples, audited, thresholds: [], classes: [] };
      let below = 0;
      let lost = 0;
      const thresholds = Array.from({ length: bins + 1 }, (_, k) => {
        const row = { threshold: k / bins, exitRate: below / total, agreement: 1 - lost / total };
        below += weight[k] ?? 0;
        lost += wrong[k] ?? 0;
        return row;
      });
      const seen = labels.map((label, i) => ({
        label,
        share: byClass[i]! / total,
        branchAgrees: agreeing[i]! / byClass[i]!,
      }));
      return { samples, audited, thresholds, classes: seen.filter(({ share }) => share > 0) };
    },
  };
}
