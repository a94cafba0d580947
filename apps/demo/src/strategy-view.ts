/** The choice of who does the work. */
import { remedies, toTierwiseError } from '@tierwise/core';
import type { Composite, Progress } from '@tierwise/device';
import { byId } from './dom.ts';
import { formatBytes } from './format.ts';
import { progressText } from './load-view.ts';

export interface StrategyView {
  /** Offers the choice for `composite`; until then it is closed. */
  setComposite(composite: Composite): void;
}

/** `onChange` is called when another Plan is in force. */
export function createStrategyView(onChange: () => void): StrategyView {
  const group = byId('strategies', HTMLFieldSetElement);
  const status = byId('strategy-status', HTMLElement);
  const note = byId('device-only-note', HTMLElement);
  const choices = [...group.querySelectorAll('input')];
  let composite: Composite | undefined;

  const showPlan = (): void => {
    for (const choice of choices) choice.checked = choice.value === composite?.plan.strategy;
  };

  const choose = async (strategy: string): Promise<void> => {
    if (composite === undefined) return;
    group.disabled = true;
    status.textContent = 'Preparing…';
    try {
      const onProgress = (progress: Progress): void => {
        status.textContent =
          progress.loadedBytes < progress.totalBytes ? progressText(progress) : 'Downloaded, starting…';
      };
      await composite.use(strategy, { onProgress });
      status.textContent = '';
    } catch (thrown) {
      const { code, message } = toTierwiseError(thrown);
      status.textContent = `${code}: ${message}. ${remedies[code]}`;
    } finally {
      // After a failure the Plan before it is still in force.
      showPlan();
      group.disabled = false;
    }
    onChange();
  };

  group.disabled = true;
  for (const choice of choices) {
    choice.addEventListener('change', () => {
      if (choice.checked) void choose(choice.value);
    });
  }
  return {
    setComposite(loaded) {
      composite = loaded;
      const bytes = formatBytes(loaded.manifest.main.artifact.bytes);
      note.textContent = `The whole network (${bytes}) runs here, after a download of it and of a runtime, about 14\u00a0MB.`;
      group.disabled = false;
      showPlan();
    },
  };
}
