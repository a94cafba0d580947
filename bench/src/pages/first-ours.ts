import { load } from '@tierwise/device/main';
import { answerFirst } from './answer-first.ts';

answerFirst(load);
