/** The worker that `load` of `@tierwise/device` starts unless it is given another. */
import { strategies } from '@tierwise/plan';
import { serve } from './serve.ts';

serve({ strategies });
