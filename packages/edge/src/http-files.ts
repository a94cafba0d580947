import { createHash } from 'node:crypto';
import { TierwiseError } from '@tierwise/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Bundle } from './bundles.ts';
import { findArtifact, servedManifest } from './models.ts';

interface Content {
  readonly bytes: Uint8Array;
  /** Of the content: equal tags mean equal bytes. */
  readonly tag: string;
  readonly type: string;
  readonly cacheControl: string;
}

const binaryType = 'application/octet-stream';
/** Under an address that may hold something else tomorrow: keep it, but ask each time. */
const revalidate = 'no-cache';

/**
 * `/models/NAME/manifest.json` and the files it names beside it (also as NAME.tierwise), and every artifact under
 * its digest, where it may be kept for ever.
 */
export function serveFiles(app: FastifyInstance, bundles: readonly Bundle[]): void {
  const folders = new Map(bundles.map((bundle) => [bundle.folder, bundle]));
  const manifests = new Map(
    bundles.map(({ folder, manifest }) => {
      const bytes = Buffer.from(JSON.stringify(servedManifest(manifest)));
      const tag = createHash('sha256').update(bytes).digest('hex');
      return [folder, { bytes, tag, type: 'application/json', cacheControl: revalidate }];
    }),
  );

  app.get<{ Params: { folder: string; file: string } }>('/models/:folder/:file', async (request, reply) => {
    const { file } = request.params;
    const folder = request.params.folder.replace(/\.tierwise$/, '');
    const found =
      file === 'manifest.json'
        ? manifests.get(folder)
        : contentOf(folders.get(folder)?.artifacts.find(({ artifact }) => artifact.file === file));
    if (found === undefined) {
      throw new TierwiseError(
        'ARTIFACT_UNKNOWN',
        `this edge has no file ${file.slice(0, 128)} of a bundle ${folder.slice(0, 128)}`,
      );
    }
    return send(request, reply, found);
  });

  app.get<{ Params: { digest: string } }>('/artifacts/:digest', async (request, reply) => {
    const { bytes, digest } = findArtifact(bundles, request.params.digest);
    const cacheControl = 'public, max-age=31536000, immutable';
    return send(request, reply, { bytes, tag: digest, type: binaryType, cacheControl });
  });
}

function contentOf(found: Bundle['artifacts'][number] | undefined): Content | undefined {
  if (found === undefined) return undefined;
  return { bytes: found.bytes, tag: found.artifact.digest, type: binaryType, cacheControl: revalidate };
}

function send(
  request: FastifyRequest,
  reply: FastifyReply,
  { bytes, tag, type, cacheControl }: Content,
): FastifyReply {
  reply.headers({ etag: `"${tag}"`, 'cache-control': cacheControl });
  const known = request.headers['if-none-match'];
  if (known?.includes(`"${tag}"`)) return reply.code(304).send();
  // A view, not a copy: Fastify sends Buffers as they are.
  return reply.type(type).send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}
