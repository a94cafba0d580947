/** Where the time and the bytes of an answer went, step by step, and what left the device. */
import type { Answer } from '@tierwise/device';
import type { Place } from '@tierwise/plan';
import { byId } from './dom.ts';
import { formatBytes, formatMs } from './format.ts';

/** One line of the table; undefined where the step did not take place. */
export interface PathRow {
  readonly ms: number | undefined;
  readonly uplinkBytes?: number;
  readonly downlinkBytes?: number;
}

/**
 * The five lines of the table, in its order: computing on the device, the link, the edge's queue, computing at
 * the edge, and what the page itself took (fitting the picture to the network, handing it over and back): the
 * rest of `totalMs`, so that the lines add up to it.
 */
export function pathRows(
  { path, totalMs }: Pick<Answer, 'path' | 'totalMs'>,
  places: readonly Place[],
): readonly [PathRow, PathRow, PathRow, PathRow, PathRow] {
  const here = new Set(places.filter(({ tier }) => tier === 'device').map(({ id }) => id));
  const device = path.filter(({ place }) => here.has(place));
  const away = path.filter(({ place }) => !here.has(place));
  const sum = (
    steps: Answer['path'],
    key: 'computeMs' | 'queueMs' | 'linkMs' | 'uplinkBytes' | 'downlinkBytes',
  ) => (steps.length === 0 ? undefined : steps.reduce((total, step) => total + step[key], 0));
  const deviceMs = sum(device, 'computeMs');
  const linkMs = sum(away, 'linkMs');
  const queueMs = sum(away, 'queueMs');
  const edgeMs = sum(away, 'computeMs');
  const known = (deviceMs ?? 0) + (linkMs ?? 0) + (queueMs ?? 0) + (edgeMs ?? 0);
  const crossed = away.length > 0;
  return [
    { ms: deviceMs },
    {
      ms: linkMs,
      ...(crossed && {
        uplinkBytes: sum(path, 'uplinkBytes') ?? 0,
        downlinkBytes: sum(path, 'downlinkBytes') ?? 0,
      }),
    },
    { ms: queueMs },
    { ms: edgeMs },
    { ms: Math.max(0, totalMs - known) },
  ];
}

/**
 * The bytes that went up against the same picture as a PNG, whichever is less. The PNG of a plain drawing is so
 * small that it often is.
 */
export function comparison(uplinkBytes: number, pngBytes: number): string {
  const png = `The same 28\u00a0×\u00a028 picture as a PNG: ${formatBytes(pngBytes)}`;
  if (uplinkBytes === 0) return `${png}, which did not have to be sent.`;
  const ratio = uplinkBytes / pngBytes;
  if (ratio > 1.005)
    return `${png}: sending that would have been ${formatBytes(uplinkBytes - pngBytes)} less.`;
  if (ratio < 0.995) return `${png}: ${Math.round((1 - ratio) * 100)}\u00a0% more than this needed.`;
  return `${png}: the same.`;
}

/** What left the device, in words. `rawInput`: whether it was the picture itself. */
export function sentSentence(answer: Pick<Answer, 'sent' | 'path'>, rawInput: boolean): string {
  const uplinkBytes = answer.path.reduce((total, step) => total + step.uplinkBytes, 0);
  if (uplinkBytes === 0 && answer.sent === undefined) return 'Nothing left this device.';
  const { dims = [], bytes = 0 } = answer.sent ?? {};
  const values = `${formatBytes(bytes)} for ${dims.slice(1).join('\u00a0×\u00a0')} values`;
  return (
    `${formatBytes(uplinkBytes)} left this device: a message with ` +
    (rawInput
      ? `the picture itself, packed (${values}).`
      : `a packed feature map (${values}). It can still reveal the drawing.`)
  );
}

/** An answer and what its Plan says of it, or why there is none. */
export type PathShown =
  | {
      readonly kind: 'answer';
      readonly answer: Answer;
      readonly places: readonly Place[];
      /** Whether what was sent was the picture itself. */
      readonly rawInput: boolean;
    }
  | { readonly kind: 'nothing' | 'none' };

export interface PathView {
  show(shown: PathShown): void;
  /** The size of the same picture as a PNG, as soon as it is known; undefined when there is no picture. */
  setPngBytes(bytes: number | undefined): void;
}

export function createPathView(): PathView {
  const rows = [...byId('path-rows', HTMLTableSectionElement).rows];
  const totalTime = byId('total-time', HTMLElement);
  const totalBytes = byId('total-bytes', HTMLElement);
  const sent = byId('sent', HTMLElement);
  const compared = byId('comparison', HTMLElement);
  let uplinkBytes: number | undefined;
  let pngBytes: number | undefined;

  const compare = (): void => {
    compared.textContent =
      uplinkBytes === undefined || pngBytes === undefined ? '' : comparison(uplinkBytes, pngBytes);
  };

  return {
    show(shown) {
      const answer = shown.kind === 'answer' ? shown.answer : undefined;
      const steps = shown.kind === 'answer' ? pathRows(shown.answer, shown.places) : undefined;
      const totalMs = answer?.totalMs ?? 0;
      let startMs = 0;
      rows.forEach((row, index) => {
        const step = steps?.[index];
        const ms = step?.ms;
        const [, time, bytes, lane] = row.cells;
        time!.textContent = ms === undefined ? '–' : formatMs(ms);
        bytes!.textContent =
          step?.uplinkBytes === undefined
            ? '–'
            : `↑ ${formatBytes(step.uplinkBytes)}  ↓ ${formatBytes(step.downlinkBytes ?? 0)}`;
        row.classList.toggle('skipped', ms === undefined);
        const bar = lane!.firstElementChild as HTMLElement;
        bar.style.setProperty('--start', String(totalMs > 0 ? startMs / totalMs : 0));
        bar.style.setProperty('--length', String(totalMs > 0 ? (ms ?? 0) / totalMs : 0));
        startMs += ms ?? 0;
      });
      uplinkBytes = answer?.path.reduce((total, step) => total + step.uplinkBytes, 0);
      totalTime.textContent = answer === undefined ? '–' : formatMs(totalMs);
      totalBytes.textContent = uplinkBytes === undefined ? '–' : `↑ ${formatBytes(uplinkBytes)}`;
      sent.textContent =
        shown.kind === 'answer'
          ? sentSentence(shown.answer, shown.rawInput)
          : shown.kind === 'none'
            ? 'Without an answer it is not known what was sent.'
            : 'Nothing to send yet.';
      if (uplinkBytes === undefined) delete sent.dataset['bytes'];
      else sent.dataset['bytes'] = String(uplinkBytes);
      compare();
    },
    setPngBytes(bytes) {
      pngBytes = bytes;
      compare();
    },
  };
}
