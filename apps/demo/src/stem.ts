/**
 * What a bundle's stem makes of a picture and how it would arrive at the edge, computed in this page: the SDK sends it
 * but does not show it. Loaded when it is first looked at.
 */

import { binaryEngine } from '@tierwise/binary';
import { normalize, tensor } from '@tierwise/core';
import type { Manifest } from '@tierwise/plan';
import { pack, unpack } from '@tierwise/wire';

export interface SentMap {
  /** As it arrives, float32 of the stem's dims. */
  readonly values: Float32Array;
  readonly bytes: number;
}

export type StemOf = (greys: Uint8Array) => Promise<SentMap>;

/** `branch`: the bundle's branch file. */
export async function openStem(manifest: Manifest, branch: Uint8Array): Promise<StemOf> {
  const { input, stem, codec, preprocess } = manifest;
  const section = await binaryEngine().load(branch, {
    id: 'stem',
    place: 'device',
    engine: 'binary',
    artifact: manifest.branch.artifact.digest,
    model: manifest.name,
    inputs: [input],
    outputs: [stem],
  });
  return async (greys) => {
    const pixels = tensor('float32', input.dims, normalize(greys, preprocess));
    const made = (await section.run(new Map([[input.tensor, pixels]]))).get(stem.tensor)!;
    const packed = pack(tensor('float32', stem.dims, Float32Array.from(made.data as Float32Array)), codec);
    return { values: unpack(packed).data, bytes: packed.length };
  };
}
