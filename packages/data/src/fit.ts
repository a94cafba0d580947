import { preprocess } from '@tierwise/core';
import type { Dataset, DatasetSplit } from './dataset.ts';
import { makeRoom, type PictureSize } from './folder.ts';
import { Tally } from './warnings.ts';

/**
 * `data` with its pictures at `size`, resized by core's `preprocess` as a device does it, with a warning; as they are
 * when that is their size already.
 * @throws TierwiseError USAGE when they take more than 4 GiB at this size
 */
export function fitted(data: DatasetSplit, size: PictureSize): DatasetSplit {
  const { name, channels, height, width } = data.train;
  if (channels === size.channels && height === size.height && width === size.width) return data;
  const tally = new Tally();
  for (const { samples } of [data.train, data.test])
    tally.add(
      'resized',
      `${width} x ${height} x ${channels} to ${size.width} x ${size.height} x ${size.channels}`,
      samples,
    );
  return {
    train: resized(data.train, size),
    test: resized(data.test, size),
    warnings: [...data.warnings, ...tally.warnings(name)],
  };
}

function resized(data: Dataset, size: PictureSize): Dataset {
  const spec = { ...size, scale: 1, mean: [0], std: [1] };
  const { channels, height, width, samples, images } = data;
  const plane = height * width;
  const room = makeRoom(data.name, samples, size);
  const interleaved = new Uint8Array(plane * channels);
  for (let n = 0; n < samples; n++) {
    for (let c = 0; c < channels; c++)
      for (let i = 0; i < plane; i++) interleaved[i * channels + c] = images[(n * channels + c) * plane + i]!;
    const { data: values } = preprocess({ data: interleaved, width, height }, spec);
    room.set(values, n * values.length);
  }
  return { ...data, ...size, images: room };
}
