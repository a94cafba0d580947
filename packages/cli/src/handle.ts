import { TierwiseError } from '@tierwise/core';
import type { Command } from 'commander';
import { createTerminal, fail, type Terminal } from './terminal.ts';

/** The first Ctrl-C asks the work to end cleanly, the second does not ask. (The edge handles its own signals.) */
export function untilCtrlC(): AbortSignal {
  const stop = new AbortController();
  process.once('SIGINT', () => {
    stop.abort(new TierwiseError('CANCELLED', 'cancelled'));
    process.once('SIGINT', () => process.exit(130));
  });
  return stop.signal;
}

/** Makes the handler of a command: with its terminal, its errors and Ctrl-C. */
export function handle<Args extends unknown[]>(work: (terminal: Terminal, ...args: Args) => Promise<void>) {
  return async (...args: [...Args, Command]): Promise<void> => {
    const json = Boolean((args.at(-1) as Command).optsWithGlobals()['json']);
    try {
      await work(createTerminal({ json }), ...(args.slice(0, -1) as unknown as Args));
    } catch (error) {
      fail(error, { json });
    }
  };
}
