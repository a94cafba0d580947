import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));

export interface RealEdge extends AsyncDisposable {
  /** Without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** What it has counted: samples of its metrics by name and labels, as Prometheus reads them. */
  metrics(token?: string): Promise<Map<string, number>>;
}

/** An edge in a process of its own, with the committed bundles or those in `--models`. Packages must be compiled. */
export async function startRealEdge(...options: string[]): Promise<RealEdge> {
  const edge: ChildProcess = spawn(
    process.execPath,
    ['packages/cli/bin/tierwise.js', 'edge', '--port', '0', '--json', ...options],
    { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let complaints = '';
  edge.stderr!.on('data', (chunk) => {
    complaints += chunk;
  });
  const ended = new Promise<void>((resolve) => edge.once('exit', () => resolve()));
  const said = await new Promise<string>((resolve, reject) => {
    edge.stdout!.once('data', (line) => resolve(String(line)));
    edge.once('exit', (code) => reject(new Error(`the edge ended with ${code}: ${complaints}`)));
  });
  const { url } = JSON.parse(said) as { url: string };
  return {
    url,
    port: Number(new URL(url).port),
    async metrics(token) {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const text = await (await fetch(`${url}/metrics`, { headers })).text();
      return new Map(
        [...text.matchAll(/^(\w+(?:\{[^}]*\})?) (\S+)$/gm)].map(([, name, value]) => [name!, Number(value)]),
      );
    },
    async [Symbol.asyncDispose]() {
      edge.kill('SIGKILL');
      await ended;
    },
  };
}
