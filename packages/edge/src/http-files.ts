import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { TierwiseError } from '@tierwise/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Library } from './library.ts';
import { servedManifest } from './models.ts';
import type { Version } from './version.ts';

interface Content {
  readonly bytes: Uint8Array;
  /** Lives as long as the content: what is made of it is kept under this. */
  readonly owner: object;
  /** Of the content: equal tags mean equal bytes. */
  readonly tag: string;
  readonly type: string;
  readonly cacheControl: string;
}

const binaryType = 'application/octet-stream';
/** Under an address that may hold something else tomorrow: keep it, but ask each time. */
const revalidate = 'no-cache';
const forEver = 'public, max-age=31536000, immutable';

/**
 * `/models/NAME/manifest.json` and the files it names beside it (also as NAME.tierwise), and every artifact of every
 * version under its digest, where it may be kept for ever.
 */
export function serveFiles(app: FastifyInstance, library: Library): void {
  const manifests = new WeakMap<Version, Content>();
  const manifestOf = (version: Version): Content => {
    const known = manifests.get(version);
    if (known !== undefined) return known;
    const bytes = Buffer.from(JSON.stringify(servedManifest(version.manifest)));
    const tag = createHash('sha256').update(bytes).digest('hex');
    const made = { bytes, owner: version, tag, type: 'application/json', cacheControl: revalidate };
    manifests.set(version, made);
    return made;
  };

  app.get<{ Params: { folder: string; file: string } }>('/models/:folder/:file', async (request, reply) => {
    const { file } = request.params;
    const folder = request.params.folder.replace(/\.tierwise$/, '');
    const version = library.inFolder(folder);
    if (version !== undefined && file === 'manifest.json') return send(request, reply, manifestOf(version));
    const { branch, main } = version?.manifest ?? {};
    const artifact = [branch?.artifact, main?.artifact].find((candidate) => candidate?.file === file);
    if (version === undefined || artifact === undefined) {
      throw new TierwiseError(
        'ARTIFACT_UNKNOWN',
        `this edge has no file ${file.slice(0, 128)} of a bundle ${folder.slice(0, 128)}`,
      );
    }
    const bytes = await version.read(artifact);
    return send(request, reply, {
      bytes,
      owner: artifact,
      tag: artifact.digest,
      type: binaryType,
      cacheControl: revalidate,
    });
  });

  app.get<{ Params: { digest: string } }>('/artifacts/:digest', async (request, reply) => {
    const { bytes, artifact } = await library.artifact(request.params.digest);
    return send(request, reply, {
      bytes,
      owner: artifact,
      tag: artifact.digest,
      type: binaryType,
      cacheControl: forEver,
    });
  });
}

async function send(
  request: FastifyRequest,
  reply: FastifyReply,
  { bytes, owner, tag, type, cacheControl }: Content,
): Promise<FastifyReply> {
  const { 'if-none-match': known, range, 'if-range': unless, 'accept-encoding': accepted } = request.headers;
  reply.headers({ 'cache-control': cacheControl, vary: 'accept-encoding', 'accept-ranges': 'bytes' });
  if (known?.includes(`"${tag}`)) return reply.header('etag', `"${tag}"`).code(304).send();
  const part = unless === undefined || unless === `"${tag}"` ? partOf(range, bytes.length) : undefined;
  if (part !== undefined) {
    reply.headers({ etag: `"${tag}"`, 'content-range': `bytes ${part.from}-${part.to}/${bytes.length}` });
    return reply
      .code(206)
      .type(type)
      .send(asBuffer(bytes.subarray(part.from, part.to + 1)));
  }
  reply.type(type);
  const encoding = encodings.find(({ name }) => acceptsEncoding(accepted, name));
  const small = encoding?.of(owner, bytes);
  if (encoding === undefined || small === undefined)
    return reply.header('etag', `"${tag}"`).send(asBuffer(bytes));
  return reply.headers({ etag: `"${tag}-${encoding.name}"`, 'content-encoding': encoding.name }).send(small);
}

/** A view, not a copy: Fastify sends Buffers as they are. */
function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** The one part that a Range header asks for, ends included; undefined when it asks for none, or for what there is not. */
function partOf(range: string | undefined, length: number): { from: number; to: number } | undefined {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
  if (first === undefined) return undefined;
  const from = Number(first);
  const to = Math.min(length - 1, last === '' ? length - 1 : Number(last));
  return from <= to ? { from, to } : undefined;
}

function acceptsEncoding(accepted: string | string[] | undefined, name: string): boolean {
  return String(accepted ?? '')
    .split(',')
    .some((part) => part.trim() === name);
}

/**
 * Each content is compressed once, beside the work, from when it is first asked for; until that is done, or when it
 * saves less than 2 in 100, there is nothing.
 */
function encoding(name: string, compress: (bytes: Uint8Array) => Promise<Buffer>) {
  const made = new WeakMap<object, { small?: Buffer }>();
  return {
    name,
    of(owner: object, bytes: Uint8Array): Buffer | undefined {
      const known = made.get(owner);
      if (known !== undefined) return known.small;
      const entry: { small?: Buffer } = {};
      made.set(owner, entry);
      void compress(bytes).then((small) => {
        if (small.length < 0.98 * bytes.length) entry.small = small;
      });
      return undefined;
    },
  };
}

const brotli = promisify(brotliCompress);
const gzipped = promisify(gzip);
/** Quality 9: on weights 11 saves half a percent more and takes twenty times as long. The best comes first. */
const encodings = [
  encoding('br', (bytes) => brotli(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } })),
  encoding('gzip', (bytes) => gzipped(bytes, { level: 9 })),
];
