/** The answer: a large digit, how sure, which tier gave it, and whether the drawing is like what the network learned. */
import type { Answer } from '@tierwise/device';
import { byId } from './dom.ts';
import { formatMs, formatPercent } from './format.ts';

/** What the page knows about the drawing that is on the sheet. */
export type Shown =
  | { readonly kind: 'nothing' }
  /** The pen is still down: the device's own guess, for which nothing is ever sent. */
  | { readonly kind: 'guess'; readonly answer: Answer }
  | { readonly kind: 'answer'; readonly answer: Answer }
  /** No tier could answer. */
  | { readonly kind: 'none'; readonly reason: string };

export interface AnswerView {
  /** Names the classes, once the manifest is there. */
  setLabels(labels: readonly string[]): void;
  show(shown: Shown): void;
}

/** The value of `data-tier` and what is said about it. */
function tierOf(shown: Shown): { readonly tier: string; readonly title: string; readonly summary: string } {
  switch (shown.kind) {
    case 'nothing':
      return { tier: 'none', title: 'Waiting for a drawing', summary: 'The answer appears as you draw.' };
    case 'none':
      return { tier: 'failed', title: 'No answer', summary: shown.reason };
    case 'guess':
      return { tier: 'guess', title: 'This device’s guess so far', summary: sureness(shown.answer) };
    case 'answer': {
      const { answer } = shown;
      const summary = `${sureness(answer)}, in ${formatMs(answer.totalMs)}`;
      if (answer.degraded !== undefined) {
        return {
          tier: 'degraded',
          title: 'Answered here, without the edge',
          summary: `${summary}. ${answer.degraded.code}: ${answer.degraded.reason}`,
        };
      }
      return answer.tier === 'device'
        ? { tier: 'device', title: 'Answered on this device', summary }
        : { tier: 'edge', title: 'Finished at the edge', summary };
    }
    default:
      throw new Error(`internal: nothing is said about ${String(shown satisfies never)}`);
  }
}

function sureness({ probabilities, classIndex, familiar }: Answer): string {
  const sure = `${formatPercent(probabilities[classIndex] ?? 0)} sure`;
  return familiar === false ? `Perhaps none of these: unlike all it has learned. ${sure}` : sure;
}

export function createAnswerView(): AnswerView {
  const body = byId('result-body', HTMLElement);
  const digit = byId('answer', HTMLElement);
  const bars = byId('bars', HTMLOListElement);
  const tierBadge = byId('tier', HTMLElement);
  const title = tierBadge.querySelector('span')!;
  const summaryText = byId('summary', HTMLElement);
  const announcement = byId('announcement', HTMLElement);
  const columns: { readonly item: HTMLLIElement; readonly value: HTMLElement }[] = [];

  return {
    setLabels(labels) {
      bars.replaceChildren();
      const words = labels.some((label) => label.length > 2);
      body.classList.toggle('words', words);
      columns.length = 0;
      for (const label of labels) {
        const item = document.createElement('li');
        const bar = document.createElement('i');
        const name = document.createElement('span');
        const value = document.createElement('span');
        name.textContent = label;
        value.className = 'visually-hidden';
        item.append(bar, name, value);
        bars.append(item);
        columns.push({ item, value });
      }
    },
    show(shown) {
      const answer = shown.kind === 'answer' || shown.kind === 'guess' ? shown.answer : undefined;
      const { tier, title: text, summary } = tierOf(shown);
      digit.textContent = answer?.label ?? '–';
      body.classList.toggle('unfamiliar', answer?.familiar === false);
      tierBadge.dataset['tier'] = tier;
      title.textContent = text;
      summaryText.textContent = summary;
      summaryText.title = summary;
      columns.forEach(({ item, value }, index) => {
        const share = answer?.probabilities[index] ?? 0;
        item.style.setProperty('--share', share.toFixed(4));
        item.classList.toggle('first', index === answer?.classIndex);
        value.textContent = `: ${formatPercent(share)}`;
      });
      // A guess changes with every frame: only what is final is said aloud.
      if (shown.kind === 'answer') announcement.textContent = `${shown.answer.label}. ${text}, ${summary}.`;
      if (shown.kind === 'none') announcement.textContent = `${text}. ${summary}`;
    },
  };
}
