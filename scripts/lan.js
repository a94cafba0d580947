// Lends a server on loopback to the local network, over TLS: browsers give pages the camera over HTTPS only.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';

/** IPv4 addresses of this machine that others may reach. */
export function lanAddresses() {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address);
}

/**
 * A fresh key and a certificate that it signed itself, for a month; the key is on the disk for a moment only, where nobody
 * else may read it.
 */
function certificate(addresses) {
  const folder = mkdtempSync(join(tmpdir(), 'tierwise-'));
  const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const names = ['DNS:localhost', 'IP:127.0.0.1', ...addresses.map((address) => `IP:${address}`)].join(',');
  try {
    const made = spawnSync(
      'openssl',
      [
        ...[
          'req',
          '-x509',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:prime256v1',
          '-nodes',
          '-days',
          '30',
        ],
        ...[
          '-subj',
          '/CN=Tierwise',
          '-addext',
          `subjectAltName=${names}`,
          '-keyout',
          keyFile,
          '-out',
          certFile,
        ],
      ],
      { encoding: 'utf8' },
    );
    if (made.error !== undefined)
      throw new Error('--lan needs openssl, which makes its certificate, and it is not installed');
    if (made.status !== 0) throw new Error(`openssl made no certificate: ${made.stderr.trim()}`);
    return { key: readFileSync(keyFile), cert: readFileSync(certFile) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Passes every TLS connection on `port` (0: any) on to the server at `url`, byte for byte, so WebSockets too. Gives the
 * addresses that others may open, and `close`.
 * @throws Error with one sentence that says what is missing
 */
export async function lend(url, port = 0) {
  const addresses = lanAddresses();
  const target = new URL(url);
  const open = new Set();
  const server = createServer(certificate(addresses), (secure) => {
    const plain = connect(Number(target.port), target.hostname);
    for (const socket of [secure, plain]) {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
      // Either end may go at any time; the other one goes with it.
      socket.on('error', () => {
        secure.destroy();
        plain.destroy();
      });
    }
    secure.pipe(plain).pipe(secure);
  });
  server.listen(port, '0.0.0.0');
  await once(server, 'listening');
  const urls = addresses.map((address) => `https://${address}:${server.address().port}/`);
  return {
    urls,
    port: server.address().port,
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
