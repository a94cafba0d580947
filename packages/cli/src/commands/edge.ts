import { TierwiseError } from '@tierwise/core';
import { runEdge } from '@tierwise/edge';
import { readBytes } from '../files.ts';
import type { Terminal } from '../terminal.ts';

export const logLevels = ['silent', 'error', 'warn', 'info', 'debug'] as const;

export interface EdgeFlags {
  readonly models: string;
  readonly host: string;
  readonly port: number;
  readonly site?: string;
  readonly workers: number;
  readonly allowOrigin: readonly string[];
  readonly keepDays: number;
  readonly tokenFile?: string;
  readonly audit: boolean;
  readonly queueLimit: number;
  readonly maxBatch: number;
  readonly bodyLimit: number;
  readonly drainMs: number;
  readonly logLevel: (typeof logLevels)[number];
}

/** `tierwise edge`: serves until SIGTERM or Ctrl-C, then drains. */
export async function edgeCommand(flags: EdgeFlags, terminal: Terminal): Promise<void> {
  const { models, host, port, workers, keepDays, audit, queueLimit, maxBatch, drainMs, site, tokenFile } =
    flags;
  const { edge, closed } = await runEdge({
    models,
    host,
    port,
    workers,
    keepDays,
    audit,
    queueLimit,
    maxBatch,
    drainMs,
    bodyLimitBytes: flags.bodyLimit,
    allowOrigins: flags.allowOrigin,
    logger: { level: flags.logLevel },
    ...(site === undefined ? {} : { site }),
    ...(tokenFile === undefined ? {} : { tokens: await readTokens(tokenFile) }),
  });
  terminal.result(
    { url: edge.url, models: edge.models },
    ({ url, models: names }) =>
      `Serving ${names.join(', ') || 'no model'} at ${url}${site === undefined ? '' : '  (open it in a browser)'}\nCtrl-C ends it.`,
  );
  await closed;
}

/** The tokens in a file, which the arguments of a process, seen by all its machine's users, do not show. */
async function readTokens(file: string): Promise<string[]> {
  const text = new TextDecoder().decode(await readBytes(file));
  const tokens = text.split('\n').flatMap((line) => line.trim() || []);
  // An empty file must not open the edge to everybody.
  if (tokens.length === 0) throw new TierwiseError('USAGE', `${file} holds no token`, { file });
  return tokens;
}
