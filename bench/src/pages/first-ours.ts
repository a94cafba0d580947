import { load } from '@tierwise/device/main';
import { pixels, side } from './picture.ts';
import { show } from './show.ts';

// No `await` outside of a function: Vite makes fewer chunks without.
async function main(): Promise<void> {
  const composite = await load('model', { edge: false });
  const { classIndex } = await composite.classify({ data: pixels, width: side, height: side });
  show(classIndex);
}

main();
