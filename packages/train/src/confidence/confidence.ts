import { TierwiseError } from '@tierwise/core';
import type { Dataset, DatasetSplit } from '@tierwise/data';
import type { Manifest } from '@tierwise/plan';
import { judgeBranch, type Measured, thresholdOf } from '../bundle/evaluate.ts';
import { subset } from '../bundle/make.ts';
import { heldBackSamples } from '../design/held-back.ts';
import { type Calibration, calibrationOf, fitTemperature } from './calibration.ts';
import { energies, type Rejection, rejectionOf, rejectionThreshold } from './rejection.ts';

/** Whether the branch's confidence can be trusted, over every test sample. Shares in 0..1. */
export interface Confidence {
  readonly calibration: Calibration;
  /**
   * The temperature that fits the held-back samples best, and the calibration error with it. It is not applied: exits
   * compare entropies with a threshold that was chosen for what it does, and another temperature would want another one.
   * Undefined when it is not known which samples were held back.
   */
  readonly temperature: { readonly value: number; readonly ece: number } | undefined;
  readonly classes: readonly ClassConfidence[];
  /** By the bundle's threshold, or one of the held-back samples when it has none; undefined when those are unknown, too. */
  readonly rejection: Rejection | undefined;
}

/** How often test samples of one class are told right, and how many of them exit on the device. */
export interface ClassConfidence {
  readonly label: string;
  readonly samples: number;
  /** Of the composite, and of its branch alone. */
  readonly accuracy: number;
  readonly branchAccuracy: number;
  readonly exitRate: number;
}

/**
 * `strangers`: pictures of other things, in the bundle's size.
 * @throws TierwiseError USAGE when there are strangers and no threshold for them
 */
export async function measureConfidence(
  composite: Measured,
  manifest: Manifest,
  data: DatasetSplit,
  { strangers, signal }: { readonly strangers?: Dataset; readonly signal?: AbortSignal } = {},
): Promise<Confidence> {
  const { test } = data;
  const classes = test.classes.length;
  const threshold = thresholdOf(manifest);
  const exits: boolean[] = [];
  const branchRight: boolean[] = [];
  const compositeRight: boolean[] = [];
  const scores = await branchScores(composite, test, signal, async (part, stems, own) => {
    const { entropies, right } = judgeBranch(own, part);
    const exit = (sample: number) => entropies[sample]! < threshold;
    const rest = await composite.rest(part, stems, manifest.codec, (sample) => !exit(sample));
    for (let i = 0; i < part.samples; i++) {
      exits.push(exit(i));
      branchRight.push(right[i] === 1);
      compositeRight.push((exit(i) ? right[i] : rest.right[i]) === 1);
    }
  });
  const held = heldBackSamples(manifest, data.train);
  const heldScores = held && (await branchScores(composite, held, signal));
  const rejects = manifest.rejection ?? (heldScores && rejectionThreshold(energies(heldScores, classes)));
  if (strangers !== undefined && rejects === undefined)
    throw new TierwiseError(
      'USAGE',
      `${manifest.name} has no threshold for strangers, and the samples are not known that its training held back: tierwise rejection --samples train --write gives it one`,
    );
  const other = strangers && {
    data: strangers.name,
    // The branch scores its own classes, however many the strangers have.
    energies: energies(
      await branchScores(composite, { ...strangers, classes: test.classes }, signal),
      classes,
    ),
  };
  const scored = { scores, labels: test.labels, classes };
  const temperature =
    held && heldScores && fitTemperature({ scores: heldScores, labels: held.labels, classes });
  const perClass = manifest.labels.map((label, own): ClassConfidence => {
    const samples = Array.from(test.labels.keys()).filter((i) => test.labels[i] === own);
    const share = (of: (i: number) => boolean) => samples.filter(of).length / Math.max(1, samples.length);
    return {
      label,
      samples: samples.length,
      accuracy: share((i) => compositeRight[i]!),
      branchAccuracy: share((i) => branchRight[i]!),
      exitRate: share((i) => exits[i]!),
    };
  });
  return {
    calibration: calibrationOf(scored),
    temperature:
      temperature === undefined
        ? undefined
        : { value: temperature, ece: calibrationOf(scored, temperature).ece },
    classes: perClass,
    rejection: rejects && rejectionOf(rejects.energy, energies(scores, classes), other),
  };
}

/** Samples whose stems are held at once. */
const together = 200;

/** The branch's scores of all samples, [samples, classes]; `each` sees every part of them with its stems. */
export async function branchScores(
  composite: Measured,
  data: Dataset,
  signal: AbortSignal | undefined,
  each?: (part: Dataset, stems: Float32Array, scores: Float32Array) => Promise<void>,
): Promise<Float32Array> {
  const all = new Float32Array(data.samples * data.classes.length);
  for (let from = 0; from < data.samples; from += together) {
    const length = Math.min(together, data.samples - from);
    const part = subset(
      data,
      Uint32Array.from({ length }, (_, i) => from + i),
    );
    const { stems, scores } = await composite.branch(part, undefined, signal);
    all.set(scores, from * data.classes.length);
    await each?.(part, stems, scores);
  }
  return all;
}
