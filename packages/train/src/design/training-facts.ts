/** How a bundle was trained, as its provenance says. */
export interface TrainingFacts {
  /** "main 30 at 50 %, main 30, branch 60": kinds, epochs, and sides of pictures that were not whole. */
  readonly phases: string;
  readonly epochs: number;
  /** Learnt from; those held back do not count. */
  readonly samples: number;
}

/** Reads `provenance.settings` of any version; undefined where they do not say it. */
export function trainingFacts(settings: unknown): TrainingFacts | undefined {
  if (typeof settings !== 'object' || settings === null) return undefined;
  const { samples, holdout, phases, epochs } = settings as Record<string, unknown>;
  if (typeof samples !== 'number' || typeof holdout !== 'number') return undefined;
  // Bundles from before there were phases were trained jointly.
  const steps = Array.isArray(phases) ? phases : [{ kind: 'joint', epochs }];
  const known = steps.flatMap((step: { kind?: unknown; epochs?: unknown; side?: unknown }) =>
    typeof step?.kind === 'string' && typeof step.epochs === 'number'
      ? [{ kind: step.kind, epochs: step.epochs, side: typeof step.side === 'number' ? step.side : 1 }]
      : [],
  );
  if (known.length < steps.length) return undefined;
  return {
    phases: known
      .map(({ kind, epochs, side }) => `${kind} ${epochs}${side === 1 ? '' : ` at ${100 * side} %`}`)
      .join(', '),
    epochs: known.reduce((sum, step) => sum + step.epochs, 0),
    samples: samples - holdout,
  };
}
