import { expect, test } from 'vitest';
import { linkProfiles } from './profiles.ts';

test.each([
  ['fast-4g', 9e6 * 0.9, 1.5e6 * 0.9, 60 * 2.75],
  ['slow-4g', 1.6e6 * 0.9, 0.75e6 * 0.9, 150 * 3.75],
  ['slow-3g', 0.5e6 * 0.8, 0.5e6 * 0.8, 400 * 5],
] as const)('%s is the preset of DevTools with its factors', (name, down, up, roundTripMs) => {
  const profile = linkProfiles[name];
  expect(profile.down.bitsPerSecond).toBeCloseTo(down, 3);
  expect(profile.up.bitsPerSecond).toBeCloseTo(up, 3);
  expect(profile.up.delayMs + profile.down.delayMs).toBeCloseTo(roundTripMs, 9);
});
