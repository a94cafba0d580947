/** The last answers as they come: how unsure, where the time went, what was sent, each coloured by its tier. */
import type { Answer } from '@tierwise/device';
import type { Place } from '@tierwise/plan';
import { byId } from './dom.ts';
import { positionOf } from './entropy-scale.ts';
import { formatBytes, formatMs } from './format.ts';
import { pathRows } from './path-view.ts';

/** Answers that a chart has room for. */
export const room = 24;

export interface HistoryView {
  add(answer: Answer, places: readonly Place[]): void;
  clear(): void;
}

interface Entry {
  readonly tier: string;
  readonly label: string;
  readonly entropy: number;
  readonly threshold: number | undefined;
  readonly stepsMs: readonly number[];
  readonly totalMs: number;
  readonly bytes: number;
}

const namespace = 'http://www.w3.org/2000/svg';
const [width, height] = [240, 56];

function shape(name: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const made = document.createElementNS(namespace, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

export function createHistoryView(): HistoryView {
  const section = byId('history', HTMLElement);
  const charts = new Map(
    ['entropy', 'latency', 'bytes'].map((name) => {
      const figure = byId(`history-${name}`, HTMLElement);
      return [name, { svg: figure.querySelector('svg')!, reading: figure.querySelector('output')! }];
    }),
  );
  let entries: Entry[] = [];
  const slot = width / room;

  const draw = (name: string, reading: string, shapes: readonly SVGElement[]): void => {
    const chart = charts.get(name)!;
    chart.svg.replaceChildren(...shapes);
    chart.svg.setAttribute('aria-label', `${name} of the last answers: ${reading}`);
    chart.reading.textContent = reading;
  };

  const paint = (): void => {
    section.hidden = entries.length === 0;
    const last = entries.at(-1);
    if (last === undefined) return;
    const at = (i: number) => (room - entries.length + i) * slot;
    const dots = entries.flatMap(({ tier, entropy, threshold }, i) => {
      const y = (value: number) => (height - 4 - positionOf(value) * (height - 8)).toFixed(1);
      const dot = shape('circle', { class: tier, cx: (at(i) + slot / 2).toFixed(1), cy: y(entropy), r: 3.5 });
      if (threshold === undefined) return [dot];
      const limit = y(Math.min(1, threshold));
      return [shape('path', { class: 'limit', d: `M${at(i).toFixed(1)} ${limit}h${slot}` }), dot];
    });
    const away = entries.filter(({ tier }) => tier === 'edge').length;
    draw('entropy', `${away} of ${entries.length} finished at the edge`, dots);

    const longest = Math.max(...entries.map(({ totalMs }) => totalMs));
    const bars = entries.flatMap(({ stepsMs }, i) => {
      let below = height;
      return stepsMs.map((ms, step) => {
        const long = (ms / longest) * (height - 2);
        below -= long;
        const box = {
          x: (at(i) + 1).toFixed(1),
          y: below.toFixed(1),
          width: slot - 2,
          height: long.toFixed(1),
        };
        return shape('rect', { class: `step${step}`, ...box });
      });
    });
    draw('latency', `last ${formatMs(last.totalMs)}, longest ${formatMs(longest)}`, bars);

    const most = Math.max(1, ...entries.map(({ bytes }) => bytes));
    const sent = entries.map(({ bytes, tier }, i) => {
      const long = Math.max(1, (bytes / most) * (height - 2));
      const box = {
        x: (at(i) + 1).toFixed(1),
        y: (height - long).toFixed(1),
        width: slot - 2,
        height: long.toFixed(1),
      };
      return shape('rect', { class: tier, ...box });
    });
    const all = entries.reduce((sum, { bytes }) => sum + bytes, 0);
    draw('bytes', `last ${formatBytes(last.bytes)}, all ${formatBytes(all)}`, sent);
  };
  paint();

  return {
    add(answer, places) {
      const { label, entropy, threshold, totalMs, path } = answer;
      const tier = answer.degraded === undefined ? answer.tier : 'degraded';
      const stepsMs = pathRows(answer, places).map(({ ms }) => ms ?? 0);
      const bytes = path.reduce((sum, step) => sum + step.uplinkBytes, 0);
      entries = [...entries, { tier, label, entropy, threshold, stepsMs, totalMs, bytes }].slice(-room);
      paint();
    },
    clear() {
      entries = [];
      paint();
    },
  };
}
