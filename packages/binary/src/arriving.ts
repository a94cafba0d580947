import { readSafetensors } from '@tierwise/core';
import type { Arrival } from '@tierwise/plan';
import { readVerifiedProgram } from './file.ts';
import type { LoadedProgram } from './program.ts';
import { readText } from './text.ts';

/** Bytes before the JSON of a safetensors file: its length. */
const lengthBytes = 8;

/**
 * Reads a program as soon as all of it is there but the bits of binary layers, which are nearly all of a file and come
 * last: from here on everything can be planned. Whoever needs bits waits for them (`reachedAll`).
 * @throws as `readVerifiedProgram`, and what `reached` rejects with
 */
export async function readArriving(artifact: Arrival, where: string): Promise<LoadedProgram> {
  const { bytes, reached } = artifact;
  // Where not even that can be told, the whole is read, and refused for what is wrong with it.
  await reached(await endOfRest(artifact, where).catch(() => bytes.length));
  return readVerifiedProgram(bytes, where);
}

/** Where the last tensor ends that is no bits of a layer. Only where tensors lie is known here, not what they hold. */
async function endOfRest({ bytes, reached }: Arrival, where: string): Promise<number> {
  await reached(lengthBytes);
  const headerBytes = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  await reached(lengthBytes + headerBytes);
  const { tensors, metadata } = readSafetensors(bytes, where);
  const { ops } = readText(metadata['program']!, (what) => new Error(what));
  const bits = new Set(
    ops.map((op) => (op.kind === 'convBinary' || op.kind === 'denseBinary' ? op.weights : '')),
  );
  return Math.max(...[...tensors].map(([name, { data }]) => (bits.has(name) ? 0 : endIn(bytes, data))));
}

/** Resolves when all of `data`, a part of the artifact, is there. */
export function reachedAll({ bytes, reached }: Arrival, data: ArrayBufferView): Promise<void> {
  return reached(endIn(bytes, data));
}

/** Where `data` ends in `bytes`; a copy, which badly aligned tensors are, must be taken of all. */
function endIn(bytes: Uint8Array, data: ArrayBufferView): number {
  if (data.buffer !== bytes.buffer) return bytes.length;
  return data.byteOffset + data.byteLength - bytes.byteOffset;
}
