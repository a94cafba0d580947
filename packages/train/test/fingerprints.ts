import { createHash } from 'node:crypto';
import type { Weights } from '../src/layers/inference.ts';

/** A digest of each tensor, by name: an assertion on the numbers themselves looks at a million of them for seconds. */
export const fingerprints = (weights: Weights): Record<string, string> =>
  Object.fromEntries(
    [...weights].map(([name, { buffer, byteOffset, byteLength }]) => [
      name,
      createHash('sha256')
        .update(new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength))
        .digest('hex'),
    ]),
  );
