import type { LineOptions } from './line.ts';

/** Both directions of a link. */
export interface LinkProfile {
  readonly up: LineOptions;
  readonly down: LineOptions;
}

/** Rates in Mbit/s; the round trip is divided evenly. */
function link(downMbit: number, upMbit: number, roundTripMs: number): LinkProfile {
  return {
    up: { bitsPerSecond: upMbit * 1e6, delayMs: roundTripMs / 2 },
    down: { bitsPerSecond: downMbit * 1e6, delayMs: roundTripMs / 2 },
  };
}

/**
 * Links by name.
 *
 * The first three are the presets of Chromium's DevTools with the factors that DevTools itself applies to their
 * rates and round trips (its source, `NetworkManager.ts`): fast-4g 9/1.5 Mbit/s x 0.9 and 60 ms x 2.75, slow-4g
 * 1.6/0.75 Mbit/s x 0.9 and 150 ms x 3.75, slow-3g 0.5 Mbit/s x 0.8 and 400 ms x 5. The factors stand for what
 * shaping by request leaves out: handshakes of TCP and TLS, slow start. A relay ends TCP at both sides and leaves
 * out the same, so the factors belong here too; shaping packets (tc) would take the bare numbers.
 *
 * The others are measured or published rates; where the source has no round trip, one is adopted (100, 50, 10 ms).
 */
export const linkProfiles = {
  'fast-4g': link(8.1, 1.35, 165),
  'slow-4g': link(1.44, 0.675, 562.5),
  'slow-3g': link(0.4, 0.4, 2000),
  // DADS (INFOCOM 2019), Table I.
  '3g-dads': link(2.03, 1.1, 100),
  '4g-dads': link(13.76, 5.85, 50),
  'wifi-dads': link(54.97, 18.88, 10),
  // Ofcom's drive tests, fourth quarter of 2014.
  '3g-ofcom14': link(5.9, 1.6, 63.5),
  '4g-ofcom14': link(14.7, 13.6, 53.1),
  // LcDNN (IEEE TMC): the best of 5G.
  '5g-lcdnn': link(600, 150, 10),
} as const satisfies Record<string, LinkProfile>;

/** A link of `linkProfiles`. */
export type LinkProfileName = keyof typeof linkProfiles;
