/**
 * Progressive resizing (Howard 2018, in fastai's DAWNBench entry): a network that averages its last map learns most of
 * what it needs from small pictures, whose steps cost a quarter, and then looks at whole ones.
 */
import { TierwiseError } from '@tierwise/core';
import { GraphBuilder } from '@tierwise/graph';
import { shrunkSide } from '../layers/shrink.ts';
import { TrainingLayers } from '../layers/training.ts';
import type { Network } from '../networks/index.ts';
import type { BranchDesign } from '../recipes/index.ts';
import type { PhaseSettings, Schedule } from './settings.ts';

/** Sides as a share of what they are, and until which share of all epochs. */
const stages = [
  { side: 0.5, until: 0.5 },
  { side: 0.75, until: 0.75 },
  { side: 1, until: 1 },
] as const;

/**
 * `phases` of which the first half of all epochs has sides of a half, the next quarter of three quarters, and the last
 * quarter whole ones. A phase that is divided keeps its curve of learning rates.
 */
export function progressive(phases: readonly PhaseSettings[]): PhaseSettings[] {
  const total = phases.reduce((sum, { epochs }) => sum + epochs, 0);
  let passed = 0;
  return phases.flatMap((phase) => {
    const from = passed;
    passed += phase.epochs;
    const curve = phase.curve ?? { before: 0, epochs: phase.epochs };
    let start = from;
    return stages.flatMap(({ side, until }) => {
      const end = Math.min(passed, Math.floor(until * total));
      if (end <= start) return [];
      const part = { before: curve.before + start - from, epochs: curve.epochs };
      const epochs = end - start;
      start = end;
      return [
        {
          ...phase,
          epochs,
          ...(side === 1 ? {} : { side }),
          ...(epochs === phase.epochs ? {} : { curve: part }),
        },
      ];
    });
  });
}

/** What of a training can begin with pictures, or stems, that are smaller than they are. */
export interface AnySize {
  readonly main: boolean;
  readonly branch: boolean;
}

/**
 * Whether pictures of a network, and stems of a branch, may have any size: not where a dense layer has a weight for each
 * place of a map. What is trained together has to be of any size together.
 * @throws TierwiseError USAGE naming what has such a layer, where nothing is left that could begin small
 */
export function anySize(network: Network, design: BranchDesign, schedule: Schedule): AnySize {
  const main = parametersAt(network, stages[0].side) === parametersAt(network, 1);
  const branch = design.dense.length === 0;
  const some = { joint: main && branch, 'main-first': main || branch, 'main-only': main };
  if (some[schedule]) return { main, branch };
  const instead = main || branch ? '; with --schedule main-first the other part can begin small' : '';
  throw new TierwiseError(
    'USAGE',
    `--progressive: ${main ? 'its branch' : network.name} has a dense layer over its whole map, so its pictures cannot be smaller at first${instead}`,
  );
}

/** Shapes of all parameters where pictures have this `side` as a share of the usual one. */
function parametersAt(network: Network, side: number): string {
  const { channels, height, width } = network.input;
  const layers = new TrainingLayers(new GraphBuilder(network.name));
  const dims = [1, channels, shrunkSide(height, side), shrunkSide(width, side)];
  network.main(layers, network.stem(layers, { value: 'pixels', dims }), 2);
  return JSON.stringify(layers.parameters.map(({ dims }) => dims));
}
