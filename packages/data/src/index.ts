export type { Dataset, DatasetSplit, DatasetWarning } from './dataset.ts';
export type { DownloadOptions, DownloadProgress } from './download.ts';
export type { PictureSize } from './folder.ts';
export { datasetNames, type LoadOptions, loadDataset } from './load.ts';
export { decodePicture, type Picture, readPicture } from './pictures.ts';
export { relabelled } from './relabel.ts';
