/**
 * tables[k][b] is the CRC of byte b with k zero bytes after it, so that four bytes are taken at once: the CRC is
 * linear, and each byte's share can be looked up by how far it is from the end (Kounavis and Berry 2005, slicing).
 */
const tables: Uint32Array[] = [];
for (let k = 0; k < 4; k++) {
  tables.push(
    Uint32Array.from({ length: 256 }, (_, byte) => {
      if (k > 0) return (tables[k - 1]![byte]! >>> 8) ^ tables[0]![tables[k - 1]![byte]! & 0xff]!;
      let crc = byte;
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
      return crc;
    }),
  );
}

/** CRC-32 of the parts put together, as in Ethernet, zip and PNG (reflected polynomial 0xedb88320). Finds every burst of up to 32 bits; no defence against intent. */
export function crc32(...parts: readonly Uint8Array[]): number {
  const [one, two, three, four] = tables as [Uint32Array, Uint32Array, Uint32Array, Uint32Array];
  let crc = 0xffffffff;
  for (const part of parts) {
    const even = part.length & ~3;
    let i = 0;
    for (; i < even; i += 4) {
      crc ^= part[i]! | (part[i + 1]! << 8) | (part[i + 2]! << 16) | (part[i + 3]! << 24);
      crc = four[crc & 0xff]! ^ three[(crc >>> 8) & 0xff]! ^ two[(crc >>> 16) & 0xff]! ^ one[crc >>> 24]!;
    }
    for (; i < part.length; i++) crc = one[(crc ^ part[i]!) & 0xff]! ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
