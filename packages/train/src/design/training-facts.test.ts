import { expect, test } from 'vitest';
import { trainingFacts } from './training-facts.ts';

test.each([
  [
    { samples: 60_000, holdout: 5000, epochs: 12 },
    { phases: 'joint 12', epochs: 12, samples: 55_000 },
  ],
  [
    {
      samples: 20_000,
      holdout: 1000,
      phases: [
        { kind: 'main', epochs: 2, side: 0.5 },
        { kind: 'main', epochs: 1 },
        { kind: 'branch', epochs: 4 },
      ],
    },
    { phases: 'main 2 at 50 %, main 1, branch 4', epochs: 7, samples: 19_000 },
  ],
  [{ samples: 60_000, holdout: 5000 }, undefined],
  [{ samples: 1, holdout: 0, phases: [null] }, undefined],
  ['joint', undefined],
])('%j was trained as %j', (settings, facts) => {
  expect(trainingFacts(settings)).toEqual(facts);
});
