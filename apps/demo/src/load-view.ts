/** What is said while the network loads and when it cannot be loaded; both stand where the answer will be. */
import { remedies, type TierwiseError } from '@tierwise/core';
import type { Progress } from '@tierwise/device';
import { byId } from './dom.ts';
import { formatBytes } from './format.ts';

export interface LoadView {
  loading(): void;
  progress(progress: Progress): void;
  loaded(): void;
  /** Shows the error card; `retry` is called when its button is pressed. */
  failed(error: TierwiseError, retry: () => void): void;
}

/** `Loading: 12.3 of 61.7 kB (branch.safetensors)`. */
export function progressText({ file, loadedBytes, totalBytes }: Progress): string {
  return `Loading: ${formatBytes(loadedBytes)} of ${formatBytes(totalBytes)} (${file})`;
}

export function createLoadView(): LoadView {
  const answer = byId('result-body', HTMLElement);
  const waiting = byId('loading', HTMLElement);
  const failure = byId('failure', HTMLElement);
  const text = byId('loading-text', HTMLElement);
  const bar = byId('loading-bar', HTMLProgressElement);
  const message = byId('failure-message', HTMLElement);
  const remedy = byId('failure-remedy', HTMLElement);
  const code = byId('failure-code', HTMLElement);
  const button = byId('failure-retry', HTMLButtonElement);

  const only = (part: HTMLElement): void => {
    // The answer keeps its room, so that nothing moves when it comes.
    answer.classList.toggle('unseen', part !== answer);
    waiting.hidden = part !== waiting;
    failure.hidden = part !== failure;
  };

  return {
    loading() {
      only(waiting);
      text.textContent = 'Loading the network';
      bar.removeAttribute('value');
    },
    progress(progress) {
      text.textContent = progressText(progress);
      bar.max = Math.max(1, progress.totalBytes);
      bar.value = progress.loadedBytes;
    },
    loaded() {
      only(answer);
    },
    failed(error, retry) {
      only(failure);
      message.textContent = error.message;
      remedy.textContent = remedies[error.code];
      code.textContent = error.code;
      button.onclick = retry;
    },
  };
}
