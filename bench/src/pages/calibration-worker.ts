import { loop } from './calibration-loop.ts';

addEventListener('message', ({ data }: MessageEvent<number>) => postMessage(loop(data)));
