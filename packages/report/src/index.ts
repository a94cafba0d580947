export type { Axis, BarChart, Block, LineChart, PictureTable, Series, TableBlock } from './blocks.ts';
export { reportPage } from './page.ts';
export { numberText } from './text.ts';
