import { load } from '@tierwise/device';
import { answerFirst } from './answer-first.ts';

answerFirst(load);
