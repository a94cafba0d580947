/**
 * SHA-256 of `bytes` as 64 lower-case hexadecimal digits. A page that is not a secure context (plain HTTP from
 * another host) has no `crypto.subtle`; only there a JavaScript implementation is loaded, which is slower.
 */
export async function sha256Hex(bytes: Uint8Array): Promise<string> {
  const subtle: SubtleCrypto | undefined = globalThis.crypto?.subtle;
  const hash =
    subtle === undefined
      ? (await import('@noble/hashes/sha2.js')).sha256(bytes)
      : new Uint8Array(await subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
