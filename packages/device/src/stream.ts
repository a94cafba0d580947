import { orAborted } from '@tierwise/runtime';
import type { Answer, ClassifyOptions, Composite, Picture } from './api.ts';

/** Who is told of the answers, beside what holds for each of them. */
export interface StreamOptions extends ClassifyOptions {
  /** Called with each answer, in the order of the pictures. */
  readonly onAnswer: (answer: Answer) => void;
}

/** What became of the pictures of a stream. */
export interface StreamCounts {
  readonly answered: number;
  /** Replaced by a newer one before its turn came. */
  readonly dropped: number;
}

/**
 * Classifies the pictures of `source`, one at a time. While one is under way the newest waits, and the one that waited
 * before is dropped, so that answers never lag behind by more than one picture. A source is a video that plays, or
 * anything that gives pictures; those that have to be closed (bitmaps, frames of a camera) are closed here. Ends with the
 * source, or when `signal` is aborted.
 * @throws TierwiseError as `classify` does
 */
export async function stream(
  composite: Composite,
  source: HTMLVideoElement | AsyncIterable<Picture>,
  { onAnswer, ...options }: StreamOptions,
): Promise<StreamCounts> {
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  const pictures = Symbol.asyncIterator in source ? source : framesOf(source, signal);
  const iterator = pictures[Symbol.asyncIterator]();
  let answered = 0;
  let dropped = 0;
  let waiting: Picture | undefined;
  let working: Promise<void> | undefined;

  async function work(): Promise<void> {
    for (let picture = waiting; picture !== undefined; picture = waiting) {
      waiting = undefined;
      try {
        const answer = await composite.classify(picture, { ...options, signal });
        answered++;
        onAnswer(answer);
      } finally {
        close(picture);
      }
    }
    working = undefined;
  }

  try {
    for (;;) {
      const { done, value } = await orAborted(iterator.next(), signal);
      if (done) break;
      if (waiting !== undefined) {
        dropped++;
        close(waiting);
      }
      waiting = value;
      working ??= work();
      // What fails there ends the stream here.
      working.catch((error: unknown) => stop.abort(error));
    }
    await working;
  } catch (error) {
    if (!options.signal?.aborted) throw stop.signal.aborted ? stop.signal.reason : error;
  } finally {
    if (waiting !== undefined) close(waiting);
    // A source that is in the middle of its next picture ends after that; nobody waits for it.
    void Promise.resolve(iterator.return?.()).catch(() => {});
  }
  return { answered, dropped };
}

/** Each frame that a video shows, until it ends. */
async function* framesOf(video: HTMLVideoElement, signal: AbortSignal): AsyncGenerator<Picture> {
  const over = new AbortController();
  video.addEventListener('ended', () => over.abort(), { once: true, signal });
  const either = AbortSignal.any([signal, over.signal]);
  while (!either.aborted && !video.ended) {
    const shown = new Promise<unknown>((resolve) => {
      if ('requestVideoFrameCallback' in video) video.requestVideoFrameCallback(resolve);
      else requestAnimationFrame(resolve);
    });
    await orAborted(shown, either).catch(() => {});
    if (!either.aborted) yield await createImageBitmap(video);
  }
}

function close(picture: Picture): void {
  if ('close' in picture) picture.close();
}
