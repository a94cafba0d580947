export type { Clock } from './clock.ts';
export type { Fault } from './flow.ts';
export type { LineOptions } from './line.ts';
export { type LinkProfile, type LinkProfileName, linkProfiles } from './profiles.ts';
export { createRelay, type Direction, type Relay, type RelayCounters, type RelayOptions } from './relay.ts';
