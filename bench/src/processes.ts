import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { TierwiseError } from '@tierwise/core';

/** A program that runs beside the benchmark. Disposing ends it. */
export interface Program extends AsyncDisposable {
  /** The first line that it prints, read as JSON. */
  readonly said: () => Promise<{ readonly url: string }>;
  /** Sends it a message and gives the next one that it sends. One at a time. */
  ask<Answer>(message: object): Promise<Answer>;
  /** Rejects when it ends. */
  readonly ended: Promise<never>;
}

/**
 * Starts the JavaScript file `path` in a Node of its own. Whatever is awaited of it rejects when it ends or `signal` is
 * aborted.
 */
export function startProgram(path: string, args: readonly string[], signal: AbortSignal): Program {
  const child = fork(path, args, {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    serialization: 'advanced',
    execArgv: [],
    signal,
  });
  const kill = (): void => void child.kill();
  process.once('exit', kill);
  const ended = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code, by) =>
      reject(new TierwiseError('INTERNAL', `internal: ${path} ended with ${by ?? code}`)),
    );
  });
  // Told to whoever waits for something; nobody else needs to know.
  ended.catch(() => {});
  const orEnded = <T>(work: Promise<T>) => Promise.race([work, ended]);
  return {
    ended,
    async said() {
      const [line] = await orEnded(once(createInterface(child.stdout!), 'line'));
      return JSON.parse(line);
    },
    async ask<Answer>(message: object) {
      const answer = once(child, 'message');
      child.send(message);
      return (await orEnded(answer))[0] as Answer;
    },
    async [Symbol.asyncDispose]() {
      process.off('exit', kill);
      kill();
      await ended.catch(() => {});
    },
  };
}
