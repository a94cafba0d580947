import { loop } from './calibration-loop.ts';
import { offer } from './offer.ts';

/** Milliseconds of the same work on the main thread and in a worker. */
export interface Calibration {
  readonly mainMs: number;
  readonly workerMs: number;
}

const worker = new Worker(new URL('./calibration-worker.ts', import.meta.url), { type: 'module' });

function inWorker(rounds: number): Promise<number> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(rounds);
  });
}

offer(async (rounds: number): Promise<Calibration> => {
  // The first calls are slower: the code is not compiled for speed yet.
  loop(rounds);
  await inWorker(rounds);
  return { mainMs: loop(rounds), workerMs: await inWorker(rounds) };
});
