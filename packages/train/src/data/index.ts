export type { Dataset, DatasetSplit } from './dataset.ts';
export type { DownloadOptions, DownloadProgress } from './download.ts';
export { knownDatasets } from './known.ts';
export { loadDataset } from './load.ts';
