import { runEdge } from '@tierwise/edge';
import type { Terminal } from '../terminal.ts';

export interface EdgeFlags {
  readonly models: string;
  readonly host: string;
  readonly port: number;
  readonly site?: string;
  readonly workers: number;
  readonly allowOrigin: readonly string[];
}

/** `tierwise edge`: serves until SIGTERM or Ctrl-C, then drains. */
export async function edgeCommand(flags: EdgeFlags, terminal: Terminal): Promise<void> {
  const { edge, closed } = await runEdge({
    models: flags.models,
    host: flags.host,
    port: flags.port,
    workers: flags.workers,
    allowOrigins: flags.allowOrigin,
    ...(flags.site === undefined ? {} : { site: flags.site }),
  });
  terminal.result(
    { url: edge.url, models: edge.models },
    ({ url, models }) =>
      `Serving ${models.join(', ') || 'no model'} at ${url}${flags.site === undefined ? '' : '  (open it in a browser)'}\nCtrl-C ends it.`,
  );
  await closed;
}
