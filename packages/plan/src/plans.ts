import type { StrategyName } from './contracts.ts';
import { deviceOnly } from './strategies/device-only.ts';
import { edgeOnly } from './strategies/edge-only.ts';
import { lcdnn } from './strategies/lcdnn.ts';
import type { Strategy } from './strategy.ts';

/** Every strategy by its published name. */
export const strategies: Readonly<Record<StrategyName, Strategy>> = {
  lcdnn,
  'device-only': deviceOnly,
  'edge-only': edgeOnly,
};
