import type { Dataset } from '@tierwise/data';
import type { Manifest } from '@tierwise/plan';
import { subset } from '../bundle/make.ts';
import { holdBack } from '../training/batches.ts';

/**
 * The samples of `train` that the training of this composite held back, as its provenance says: the network has not
 * learnt from them, and they are not the test set. Undefined when it was trained elsewhere or on other data.
 */
export function heldBackSamples({ provenance }: Manifest, train: Dataset): Dataset | undefined {
  const settings = provenance?.['settings'];
  if (typeof settings !== 'object' || settings === null) return undefined;
  const { data, samples, holdout, seed } = settings as Record<string, unknown>;
  if (data !== train.name || samples !== train.samples) return undefined;
  if (!Number.isSafeInteger(holdout) || !Number.isSafeInteger(seed)) return undefined;
  const { held } = holdBack(train.samples, holdout as number, seed as number);
  return subset(train, held);
}
