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
export async function readArriving({ bytes, reached }: Arrival, where: string): Promise<LoadedProgram> {
  await reached(Math.min(lengthBytes, bytes.length));
  if (bytes.length >= lengthBytes) {
    const headerBytes = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
    await reached(Math.min(lengthBytes + headerBytes, bytes.length));
  }
  // Only where tensors lie is used of this reading: what they hold is not there yet.
  const { tensors, metadata } = readSafetensors(bytes, where);
  const { ops } = readText(metadata['program'] ?? '', (what) => new Error(what));
  const bits = new Set(
    ops.map((op) => (op.kind === 'convBinary' || op.kind === 'denseBinary' ? op.weights : '')),
  );
  const ends = [...tensors].map(([name, { data }]) => (bits.has(name) ? 0 : endIn(bytes, data)));
  await reached(Math.max(...ends));
  return readVerifiedProgram(bytes, where);
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
