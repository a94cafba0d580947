import { once } from 'node:events';
import { createServer } from 'node:http';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lanAddresses, lend } from './lan.js';

const server = createServer((asked, reply) =>
  reply.end(`${asked.method} ${asked.url} of ${asked.headers.host}`),
);
// An upgrade, as of a WebSocket: what comes is echoed.
server.on('upgrade', (_, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n');
  socket.pipe(socket);
});
let lent: Awaited<ReturnType<typeof lend>>;

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  lent = await lend(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
afterAll(() => {
  lent.close();
  server.closeAllConnections();
  server.close();
});

const options = () => ({ host: '127.0.0.1', port: lent.port, rejectUnauthorized: false, agent: false });

test('requests pass over TLS, under a certificate for the addresses of this machine', async () => {
  const asked = request({ ...options(), path: '/x' }).end();
  const [reply] = await once(asked, 'response');
  const { subjectaltname = '' } = (reply.socket as TLSSocket).getPeerCertificate();
  for (const address of ['127.0.0.1', ...lanAddresses()]) expect(subjectaltname).toContain(address);
  let body = '';
  for await (const part of reply) body += part;
  expect(body).toBe(`GET /x of 127.0.0.1:${lent.port}`);
  expect(lent.urls).toEqual(lanAddresses().map((address) => `https://${address}:${lent.port}/`));
});

test('upgraded connections go both ways', async () => {
  const asked = request({ ...options(), headers: { connection: 'upgrade', upgrade: 'echo' } }).end();
  const [, socket] = await once(asked, 'upgrade');
  socket.write('there and back');
  const [echo] = await once(socket, 'data');
  expect(String(echo)).toBe('there and back');
  socket.destroy();
});
