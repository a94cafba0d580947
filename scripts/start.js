// What `npm start` runs: builds what is missing, then serves the demo page with the committed models on loopback.
// `npm start -- --lan` lends it to the local network, over TLS, and prints a QR code for a phone.
// Other arguments go to `tierwise edge`: `npm start -- --port 9000`.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
if (!existsSync('node_modules')) {
  process.stderr.write('The libraries are not installed: run `npm ci` first.\n');
  process.exit(1);
}

/** Runs an npm script quietly; its output is shown when it fails. */
function build(title, ...args) {
  process.stderr.write(`${title} ...\n`);
  const npm = process.env['npm_execpath'];
  const command = npm === undefined ? ['npm', args] : [process.execPath, [npm, ...args]];
  const done = spawnSync(command[0], command[1], { encoding: 'utf8' });
  if (done.status === 0) return;
  process.stderr.write(
    `${done.stdout ?? ''}${done.stderr ?? ''}${done.error?.message ?? ''}\n${title} failed.\n`,
  );
  process.exit(1);
}

/** 8700, or any free port when another program has it. */
function freePort(wanted) {
  return new Promise((resolve) => {
    const probe = createServer()
      .once('error', () => resolve(0))
      .listen(wanted, '127.0.0.1', () => probe.close(() => resolve(wanted)));
  });
}

build('Building the packages', 'run', '--silent', 'build');
build('Building the demo page', 'run', '--silent', '-w', 'apps/demo', 'build');
const given = process.argv.slice(2).filter((word) => word !== '--lan');
const isLent = process.argv.includes('--lan');
const port = given.some((word) => /^--port(=|$)/.test(word)) ? [] : ['--port', String(await freePort(8700))];
const edge = spawn(
  process.execPath,
  [
    'packages/cli/bin/tierwise.js',
    'edge',
    '--models',
    'models',
    '--site',
    'apps/demo/dist',
    ...port,
    ...given,
  ],
  { stdio: ['inherit', isLent ? 'pipe' : 'inherit', 'inherit'] },
);
// The edge drains by itself on these; this process only waits for it.
for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => signal === 'SIGTERM' && edge.kill(signal));
edge.on('exit', (code) => process.exit(code ?? 1));

/** Says where a phone finds the page. */
async function lendOut(url) {
  const { lend } = await import('./lan.js');
  const { renderUnicodeCompact } = await import('uqr');
  const { urls } = await lend(url, await freePort(8743));
  const [first] = urls;
  if (first === undefined) throw new Error('this machine is in no local network');
  process.stdout.write(
    `\n${renderUnicodeCompact(first, { border: 3 })}\n\nOn a phone in the same network: ${urls.join(' or ')}\n` +
      'Its browser will warn of the certificate, which this machine made for itself just now: go on only in a network\n' +
      'whose people you trust. Everybody in it can open the page and use the edge.\n',
  );
}

edge.stdout?.once('data', async (line) => {
  try {
    await lendOut(/https?:\/\/[^\s"]+/.exec(String(line))[0]);
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    edge.kill('SIGTERM');
  }
});
edge.stdout?.pipe(process.stdout);
