import { tensor } from '@tierwise/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createEdge, type Edge } from '../src/index.ts';
import { openStream, request } from './client.ts';
import { dims, modelsFolder, picture } from './tiny-bundle.ts';

const tokens = ['first-token-0123456789', 'second.token~0123456789'];
const page = 'https://app.example';
const lines: string[] = [];
let edge: Edge;
let models: Awaited<ReturnType<typeof modelsFolder>>;
beforeAll(async () => {
  models = await modelsFolder();
  await models.add();
  const logger = { level: 'debug', stream: { write: (line: string) => lines.push(line) } } as const;
  edge = await createEdge({ models: models.path, port: 0, tokens, allowOrigins: [page], logger });
});
afterAll(async () => {
  await edge.close();
  await models.dispose();
});

const get = (path: string, token?: string) =>
  fetch(`${edge.url}${path}`, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } });

describe('an edge with tokens', () => {
  it.each([
    '/v2',
    '/v2/models/tiny',
    '/v2/repository/index',
    '/v2/stream',
    '/metrics',
    '/%76%32/models/tiny',
  ])('takes %s with one of them only', async (path) => {
    for (const token of [undefined, 'wrong-token-0123456789', `${tokens[0]}x`]) {
      const refused = await get(path, token);
      expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
      expect(await refused.json()).toMatchObject({ code: 'TOKEN_REFUSED' });
    }
    for (const token of tokens) expect((await get(path, token)).status).not.toBe(401);
  });

  it('lets a page of an allowed origin read that it was refused', async () => {
    const refused = await fetch(`${edge.url}/v2`, { headers: { origin: page } });
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, page]);
  });

  it('hands out files and tells its health to everybody', async () => {
    for (const path of ['/v2/health/live', '/v2/health/ready', '/models/tiny/manifest.json']) {
      expect((await get(path)).status).toBe(200);
    }
  });

  it('takes a WebSocket of a program with the header, of a page with a subprotocol', async () => {
    await expect(openStream(edge.url)).rejects.toThrow(/401/);
    const message = request(
      { pixels: tensor('float32', dims.input, picture()) },
      { modelName: 'tiny', id: 'a' },
    );
    const program = await openStream(edge.url, { authorization: `Bearer ${tokens[0]}` });
    program.send(message);
    expect(await program.next()).toMatchObject({ kind: 'response', id: 'a' });
    await program.close();
    const page = new WebSocket(`${edge.url.replace('http', 'ws')}/v2/stream`, [
      'tierwise',
      `bearer.${tokens[1]}`,
    ]);
    await new Promise((resolve, reject) => page.on('open', resolve).on('error', reject));
    expect(page.protocol).toBe('tierwise');
    page.close();
  });

  it('logs none of them', async () => {
    await get('/v2/models/tiny', tokens[0]);
    await get('/v2/models/tiny', 'wrong-token-0123456789');
    expect(lines.length).toBeGreaterThan(3);
    for (const line of lines) expect(line).not.toMatch(/token-0123|token~0123/);
  });

  it.each(['short', 'has a space in it 0123', 'per%20cent0123456789'])(
    'does not begin with "%s"',
    async (token) => {
      await expect(createEdge({ models: models.path, port: 0, tokens: [token] })).rejects.toMatchObject({
        code: 'USAGE',
        message: expect.not.stringContaining(token),
      });
    },
  );
});
