import { load } from '@tierwise/device';
import { pixels, side } from './picture.ts';
import { show } from './show.ts';

const composite = await load('model', { edge: false });
const { classIndex } = await composite.classify({ data: pixels, width: side, height: side });
show(classIndex);
