import { type DatasetSplit, loadDataset, type PictureSize } from '@tierwise/data';
import { bytesText, type Terminal } from './terminal.ts';

/** What `--data` takes. */
export const dataHelp =
  'mnist, fashion-mnist, cifar-10, or a folder: IDX files, CIFAR-10 batches, or pictures in CLASS/ or train/CLASS/ and test/CLASS/';

/** Loads what `--data` names, with its progress and its warnings on the terminal. `size` is what pictures become. */
export async function loadData(
  nameOrFolder: string,
  size: PictureSize,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<DatasetSplit> {
  const data = await loadDataset(nameOrFolder, {
    size,
    signal,
    onProgress: (p) =>
      terminal.progress(
        `${p.file}: ${bytesText(p.receivedBytes)}${p.totalBytes ? ` of ${bytesText(p.totalBytes)}` : ''}`,
      ),
    onPictures: (p) => terminal.progress(`${nameOrFolder}: ${p.done} of ${p.total} pictures`),
  });
  for (const { message } of data.warnings) terminal.note(`Note: ${message}`);
  return data;
}
