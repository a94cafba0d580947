/**
 * The examples of a page of documentation, as a test follows them. What is done with a block stands behind its language:
 *
 *     ```sh run=NAME          run in the folder of the project NAME; must succeed
 *     ```sh serve=NAME        a server: started there, and ended before the next block that is not one
 *     ```ts file=NAME/PATH    written there
 *     ```ts page=NAME         a module that runs in the page of that project
 *     ```sh skip="REASON"     not followed, because
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';

export interface Example {
  /** `sh`, `ts`, `html` ... */
  readonly language: string;
  /** `run`, `serve`, `file`, `page`, `skip`; '' when the block says nothing. */
  readonly kind: string;
  readonly value: string;
  readonly text: string;
  /** Page and line, for messages. */
  readonly place: string;
}

const kinds = ['run', 'serve', 'file', 'page', 'skip'];

/** Every fenced block of a page. */
export async function examplesOf(page: string): Promise<Example[]> {
  const markdown = await readFile(page, 'utf8');
  return [...markdown.matchAll(/^```(\w+)(?: (\w+)=(?:"([^"]+)"|(\S+)))?\n(.*?)^```$/gms)].map((match) => {
    const [, language = '', kind = '', quoted, plain, text = ''] = match;
    const line = markdown.slice(0, match.index).split('\n').length;
    const place = `${page}:${line}`;
    if (kind !== '' && !kinds.includes(kind)) throw new Error(`${place}: unknown mark ${kind}`);
    return { language, kind, value: quoted ?? plain ?? '', text, place };
  });
}

/** A port that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** The folder in which the examples of one project are followed. */
export class Project {
  readonly #name: string;
  readonly #folder: string;
  readonly #env: NodeJS.ProcessEnv;
  /** Ports that the documentation names, and free ones that are taken instead. */
  readonly #ports: ReadonlyMap<string, string>;
  #servers: ChildProcess[] = [];

  constructor(name: string, parent: string, env: NodeJS.ProcessEnv, ports: ReadonlyMap<string, string>) {
    this.#name = name;
    this.#folder = join(parent, name);
    this.#env = env;
    this.#ports = ports;
  }

  /**
   * Follows the examples that belong to this project, in order. `served` is called whenever servers were started and the
   * next example is none, with how many times that was before.
   * @throws Error when a command fails, with its place and what it said
   */
  async follow(examples: readonly Example[], served: (time: number) => Promise<void>): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const own = examples.filter(({ kind, value }) =>
      value === this.#name ? kind === 'run' || kind === 'serve' : value.startsWith(`${this.#name}/`),
    );
    let time = 0;
    try {
      for (const [i, example] of own.entries()) {
        if (example.kind === 'file') await this.#write(example);
        else if (example.kind === 'run') await this.#run(example);
        else {
          await this.#serve(example);
          if (own[i + 1]?.kind === 'serve') continue;
          await served(time++);
          await this.#stop();
        }
      }
    } finally {
      await this.#stop();
    }
  }

  /** An example with ports that are free here. */
  #adapted(text: string): string {
    return [...this.#ports].reduce((result, [named, free]) => result.replaceAll(named, free), text);
  }

  async #write({ value, text }: Example): Promise<void> {
    const path = join(dirname(this.#folder), value);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, this.#adapted(text));
  }

  #start({ text }: Example): { child: ChildProcess; said: () => string } {
    let said = '';
    // A group of its own, so that what npx started ends with it.
    const child = spawn('bash', ['-euo', 'pipefail', '-c', this.#adapted(text)], {
      cwd: this.#folder,
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk) => {
        said += chunk;
      });
    return { child, said: () => said };
  }

  async #run(example: Example): Promise<void> {
    const { child, said } = this.#start(example);
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`${example.place} ended with ${code}:\n${said()}`);
  }

  /** Starts a server and waits until it says its address. */
  async #serve(example: Example): Promise<void> {
    const port = /--port (\d+)/.exec(this.#adapted(example.text))?.[1];
    if (port === undefined) throw new Error(`${example.place} names no port`);
    const { child, said } = this.#start(example);
    this.#servers.push(child);
    await new Promise<void>((resolve, reject) => {
      const look = () => said().includes(`127.0.0.1:${port}`) && resolve();
      child.stdout?.on('data', look);
      child.stderr?.on('data', look);
      child.once('close', (code) => reject(new Error(`${example.place} ended with ${code}:\n${said()}`)));
    });
  }

  async #stop(): Promise<void> {
    const servers = this.#servers.splice(0);
    await Promise.all(
      servers.map(async (child) => {
        if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
        const closed = once(child, 'close');
        process.kill(-child.pid, 'SIGTERM');
        await closed;
      }),
    );
  }
}
