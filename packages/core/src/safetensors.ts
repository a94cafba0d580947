import * as s from './schema.ts';
import { bytesPerElement, type DType, elementCount, fromBytes, type Tensor, toBytes } from './tensor.ts';
import { TierwiseError } from './tierwise-error.ts';

/**
 * The safetensors file: u64 little-endian header length, a JSON header, the data of all tensors without a gap.
 * Source: github.com/huggingface/safetensors, "Format" in the README and `SafeTensors::read_metadata`. The types
 * BF16, F8 and below are not read. As in most JSON parsers the last of two equal keys wins; a file that uses
 * this to hide bytes still fails, because the tensors must cover the data exactly.
 */
export interface Safetensors {
  readonly tensors: Map<string, Tensor>;
  readonly metadata: Record<string, string>;
}

/** The publisher's own bound on the JSON header. */
const maxHeaderBytes = 100_000_000;

const dtypeNames: Readonly<Record<DType, string>> = {
  float32: 'F32',
  float64: 'F64',
  float16: 'F16',
  int8: 'I8',
  uint8: 'U8',
  int16: 'I16',
  uint16: 'U16',
  int32: 'I32',
  uint32: 'U32',
  int64: 'I64',
  uint64: 'U64',
  bool: 'BOOL',
};
const dtypesByName = new Map(Object.entries(dtypeNames).map(([dtype, name]) => [name, dtype as DType]));

interface Entry {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly begin: number;
  readonly end: number;
}

const counts = s.array(s.integer({ minimum: 0 }));
const EntrySchema = s.object({
  dtype: s.string(),
  shape: counts,
  data_offsets: s.array(s.integer({ minimum: 0 }), { minItems: 2, maxItems: 2 }),
});
const MetadataSchema = s.record(s.string());

/**
 * Reads a safetensors file; `where` names it in messages. A tensor shares memory with `bytes` when it is aligned
 * there and is a copy when not, so `bytes` must not change afterwards.
 * @throws TierwiseError SAFETENSORS_CORRUPT when any byte is not as the format says
 */
export function readSafetensors(bytes: Uint8Array, where = 'safetensors'): Safetensors {
  const corrupt = (what: string, cause?: unknown) =>
    new TierwiseError('SAFETENSORS_CORRUPT', `${where}: ${what}`, { where }, { cause });

  if (bytes.byteLength < 8) throw corrupt(`${bytes.byteLength} bytes are too few for a header length`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = view.getUint32(4, true) * 4294967296 + view.getUint32(0, true);
  if (headerBytes > maxHeaderBytes || headerBytes > bytes.byteLength - 8) {
    throw corrupt(`a header of ${headerBytes} bytes does not fit a file of ${bytes.byteLength} bytes`);
  }
  // A plain view: the slice of a Node Buffer would not copy.
  const data = new Uint8Array(
    bytes.buffer,
    bytes.byteOffset + 8 + headerBytes,
    bytes.byteLength - 8 - headerBytes,
  );
  const header = parseHeader(bytes.subarray(8, 8 + headerBytes), corrupt);

  const tensors = new Map<string, Tensor>();
  let metadata: Record<string, string> = {};
  const entries: Entry[] = [];
  const refuseIn =
    (name: string): s.Refuse =>
    (path, problem) => {
      throw corrupt(`${name}: ${path} ${problem}`);
    };
  for (const [name, value] of Object.entries(header)) {
    const refuse = refuseIn(name);
    if (name === '__metadata__') metadata = s.read(MetadataSchema, value, refuse);
    else entries.push(readEntry(name, s.read(EntrySchema, value, refuse), corrupt));
  }

  let end = 0;
  for (const entry of entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (entry.begin !== end) {
      throw corrupt(`tensor "${entry.name}" begins at byte ${entry.begin} of the data, not at ${end}`);
    }
    end = entry.end;
  }
  if (end !== data.byteLength) {
    throw corrupt(`the tensors take ${end} bytes of data, the file holds ${data.byteLength}`);
  }
  for (const { name, dtype, dims, begin, end } of entries) {
    const values = fromBytes(dtype, data.subarray(begin, end));
    if (dtype === 'bool' && (values as Uint8Array).some((value) => value > 1)) {
      throw corrupt(`tensor "${name}" is BOOL and holds a byte other than 0 and 1`);
    }
    tensors.set(name, { dtype, dims, data: values });
  }
  return { tensors, metadata };
}

type Corrupt = (what: string, cause?: unknown) => TierwiseError;

function parseHeader(bytes: Uint8Array, corrupt: Corrupt): Readonly<Record<string, unknown>> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw corrupt('the header is not JSON in UTF-8', cause);
  }
  // JSON may begin with spaces, a header may not.
  if (bytes[0] !== 0x7b) throw corrupt('the header does not begin with "{"');
  return header as Readonly<Record<string, unknown>>;
}

function readEntry(name: string, entry: s.Infer<typeof EntrySchema>, corrupt: Corrupt): Entry {
  const { dtype: dtypeName, shape } = entry;
  const dtype = dtypesByName.get(dtypeName);
  if (dtype === undefined) throw corrupt(`tensor "${name}" has the unknown dtype ${dtypeName}`);
  const [begin, end] = entry.data_offsets as [number, number];
  const byteLength = elementCount(shape) * bytesPerElement[dtype];
  if (end - begin !== byteLength) {
    throw corrupt(`tensor "${name}" of shape [${shape}] takes ${byteLength} bytes, not [${begin}, ${end})`);
  }
  return { name, dtype, dims: shape, begin, end };
}

/**
 * A safetensors file of `tensors`. The same input gives the same bytes whatever the order of insertion: wide types
 * first, as the publisher's writer has them, so that with a header padded to a multiple of 8 every tensor is aligned and
 * a reader of an aligned file copies nothing; of one width smaller tensors first, so that who reads a file while it
 * arrives has most of its tensors early; then by name.
 * @throws TierwiseError TENSOR_INVALID when a tensor's data does not match its dims or its name is reserved
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const ordered = [...tensors].sort(
    ([a, { dtype: p, data: v }], [b, { dtype: q, data: w }]) =>
      bytesPerElement[q] - bytesPerElement[p] || v.byteLength - w.byteLength || compare(a, b),
  );
  const header: [string, unknown][] = [];
  const texts = Object.entries(metadata).sort(([a], [b]) => compare(a, b));
  if (texts.length > 0) header.push(['__metadata__', Object.fromEntries(texts)]);
  let end = 0;
  for (const [name, { dtype, dims, data }] of ordered) {
    if (
      name === '__metadata__' ||
      !dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0) ||
      elementCount(dims) !== data.length
    ) {
      throw new TierwiseError(
        'TENSOR_INVALID',
        `tensor "${name}": ${dtype} of shape [${dims}] with ${data.length} elements cannot be written`,
        { tensor: name, dtype, dims },
      );
    }
    const begin = end;
    end += data.byteLength;
    header.push([name, { dtype: dtypeNames[dtype], shape: dims, data_offsets: [begin, end] }]);
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const dataStart = 8 + Math.ceil(json.byteLength / 8) * 8;
  const file = new Uint8Array(dataStart + end);
  file.fill(0x20, 8, dataStart);
  new DataView(file.buffer).setUint32(0, dataStart - 8, true);
  file.set(json, 8);
  let at = dataStart;
  for (const [, { data }] of ordered) {
    file.set(toBytes(data), at);
    at += data.byteLength;
  }
  return file;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
