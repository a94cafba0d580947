import type { Composite } from '@tierwise/device';
import { pixels, side } from './picture.ts';
import { show } from './show.ts';

/** Loads the page's model through a door of the SDK and shows the answer. */
export async function answerFirst(
  load: (url: string, options: { edge: false }) => Promise<Composite>,
): Promise<void> {
  const composite = await load('model', { edge: false });
  const { classIndex } = await composite.classify({ data: pixels, width: side, height: side });
  show(classIndex);
}
