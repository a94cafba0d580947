import {
  crc32,
  readSafetensors,
  type Tensor,
  TierwiseError,
  toBytes,
  writeSafetensors,
} from '@tierwise/core';
import { decodeTensors } from './decode.ts';
import { inferValues } from './infer.ts';
import type { LoadedProgram, Program, TensorRef } from './program.ts';
import { readText, writeText } from './text.ts';

/** Metadata `format` of a program file. Another number is another meaning: there is no reading of unknown ones. */
const format = 'tierwise-program/1';

/**
 * A program as a safetensors file, which any reader of that format can list. Metadata: `format`, the program as
 * JSON in `program` (text.ts), and `crc32` (8 hexadecimal digits) over the program's text and every tensor.
 * @throws TierwiseError PROGRAM_CORRUPT when program and tensors are not what `readProgram` accepts
 */
export function writeProgram(
  program: Program,
  tensors: ReadonlyMap<TensorRef, Tensor>,
): Uint8Array<ArrayBuffer> {
  const text = writeText(program);
  loadProgram(text, tensors, 'the program to write');
  return writeSafetensors(tensors, { format, program: text, crc32: checksum(text, tensors) });
}

/**
 * Reads and checks a program file: afterwards it can be run without further checks and within known bounds of memory
 * and work. `where` names the file in messages. Tensors share memory with `bytes` where they can, so `bytes` must not
 * change afterwards.
 * @throws TierwiseError SAFETENSORS_CORRUPT | PROGRAM_CORRUPT; also when the checksum does not match
 */
export function readProgram(bytes: Uint8Array, where = 'program'): LoadedProgram {
  return readFile(bytes, where, (text, tensors, written) => {
    if (written === checksum(text, tensors)) return;
    throw corrupt(`${where}: the checksum does not match, the file is damaged`, where);
  });
}

/**
 * The same for bytes that have been compared with their digest, which says all that the checksum could: pages load
 * neither its code nor wait for it.
 */
export function readVerifiedProgram(bytes: Uint8Array, where: string): LoadedProgram {
  return readFile(bytes, where, () => undefined);
}

function readFile(
  bytes: Uint8Array,
  where: string,
  check: (text: string, tensors: ReadonlyMap<TensorRef, Tensor>, written: string | undefined) => void,
): LoadedProgram {
  const { tensors, metadata } = readSafetensors(bytes, where);
  const { program: text } = metadata;
  if (metadata['format'] !== format || text === undefined) {
    throw corrupt(`${where}: not a ${format} file`, where);
  }
  check(text, tensors, metadata['crc32']);
  return loadProgram(text, tensors, where);
}

function loadProgram(text: string, stored: ReadonlyMap<TensorRef, Tensor>, where: string): LoadedProgram {
  const fail = (what: string, cause?: unknown) => corrupt(`${where}: ${what}`, where, cause);
  const program = readText(text, fail);
  const { values, macs } = inferValues(program, fail);
  const tensors = decodeTensors(program, values, stored, fail);
  const list = [...stored].map(([name, { dtype, dims, data }]) => ({
    name,
    dtype,
    dims,
    bytes: data.byteLength,
  }));
  return { program, tensors, values, macs, stored: list };
}

/** CRC-32 over all that a program means, so that a flipped bit in the header is found as one in the data is. */
export function checksum(text: string, tensors: ReadonlyMap<TensorRef, Tensor>): string {
  const encoder = new TextEncoder();
  const parts: Uint8Array[] = [encoder.encode(text)];
  for (const name of [...tensors.keys()].sort()) {
    const { dtype, dims, data } = tensors.get(name)!;
    parts.push(encoder.encode(`\n${name} ${dtype} [${dims}]\n`), toBytes(data));
  }
  return crc32(...parts)
    .toString(16)
    .padStart(8, '0');
}

function corrupt(message: string, where: string, cause?: unknown): TierwiseError {
  return new TierwiseError('PROGRAM_CORRUPT', message, { where }, { cause });
}
