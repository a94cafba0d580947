import { TierwiseError } from '@tierwise/core';
import type { Dataset, DatasetSplit } from './dataset.ts';

/**
 * `data` with `classes` as its classes, in that order: what a network's outputs are called. Each class of the data must be
 * one of them; those without pictures stay, so data of a few classes can be used with a network of many.
 * @throws TierwiseError DATA_CORRUPT naming a class that is not among them; USAGE when a name occurs twice
 */
export function relabelled(data: DatasetSplit, classes: readonly string[]): DatasetSplit {
  const twice = classes.find((name, i) => classes.indexOf(name) !== i);
  if (twice !== undefined) throw new TierwiseError('USAGE', `the class "${twice}" is listed twice`);
  const places = data.train.classes.map((name) => {
    const place = classes.indexOf(name);
    if (place >= 0) return place;
    throw new TierwiseError(
      'DATA_CORRUPT',
      `${data.train.name}: its class "${name}" is not among the ${classes.length} listed (${classes.slice(0, 3).join(', ')}, ...)`,
      { data: data.train.name, class: name },
    );
  });
  const half = (from: Dataset): Dataset => ({
    ...from,
    classes,
    labels: from.labels.map((label) => places[label]!),
  });
  return { train: half(data.train), test: half(data.test), warnings: data.warnings };
}
