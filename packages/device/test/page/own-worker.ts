/** A worker with an engine of its own, as a page may start one. */
import { serve } from '@tierwise/device/serve';
import { strategies } from '@tierwise/plan';
import { mainEngine } from '../main-engine.ts';

serve({ engines: [mainEngine], strategies });
