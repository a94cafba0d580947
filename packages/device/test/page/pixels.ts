import { toPixels } from '../../src/pixels.ts';

globalThis.pixelsOf = toPixels;
