import { availableParallelism } from 'node:os';
import { TierwiseError } from '@tierwise/core';
import { runEdge } from '@tierwise/edge';
import { type Command, Option } from 'commander';
import { readBytes } from '../files.ts';
import { handle } from '../handle.ts';
import type { Terminal } from '../terminal.ts';
import { collect, whole } from '../values.ts';

const logLevels = ['silent', 'error', 'warn', 'info', 'debug'] as const;

interface EdgeFlags {
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
async function edgeCommand(flags: EdgeFlags, terminal: Terminal): Promise<void> {
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

/** Adds `tierwise edge` and its options. */
export function addEdge(program: Command): void {
  program
    .command('edge')
    .description('serve bundles, and a site beside them')
    .option('--models <folder>', 'folder of NAME.tierwise bundles', 'models')
    .option('--host <address>', 'address to listen on; loopback unless you say otherwise', '127.0.0.1')
    .option('--port <n>', '0 takes any free one', whole(0), 8700)
    .option('--site <folder>', 'files served at /')
    .option('--workers <n>', 'threads that compute', whole(1), Math.max(1, availableParallelism() - 1))
    .option(
      '--allow-origin <origin>',
      'another origin whose pages may use this edge; may be repeated',
      collect,
      [],
    )
    .option(
      '--keep-days <n>',
      'answer for replaced models, whose pages may be cached, this long',
      whole(0),
      30,
    )
    .option('--token-file <file>', 'tokens, one a line; inference and metrics then take one of them only')
    .option(
      '--audit',
      'count samples that pages are sure of and send with consent, to check the threshold',
      false,
    )
    .option('--queue-limit <n>', 'samples that may wait; more are refused', whole(0), 64)
    .option('--max-batch <n>', 'samples of several requests that one run may hold', whole(1), 32)
    .option('--body-limit <bytes>', 'largest request', whole(1024), 16 * 2 ** 20)
    .option('--drain-ms <n>', 'time that requests have to finish when the edge is ended', whole(0), 10_000)
    .addOption(
      new Option('--log-level <level>', 'lines of JSON on stderr; info has one for each request')
        .choices(logLevels)
        .default('warn'),
    )
    .option('--json', 'print one JSON object when it serves')
    .action(handle((terminal, flags: EdgeFlags) => edgeCommand(flags, terminal)));
}
