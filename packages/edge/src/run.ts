import { createEdge, type Edge, type EdgeOptions } from './edge.ts';

const signals = ['SIGINT', 'SIGTERM'] as const;

/** An edge that ends with its process. */
export interface RunningEdge {
  readonly edge: Edge;
  /** Resolves when the edge has drained after SIGINT or SIGTERM. */
  readonly closed: Promise<void>;
}

/**
 * Runs an edge until the process gets SIGINT or SIGTERM. A second signal ends the process at once: by the
 * signal itself, because `process.exit` during an inference aborts noisily.
 * @throws TierwiseError as `createEdge` does
 */
export async function runEdge(options: EdgeOptions): Promise<RunningEdge> {
  const edge = await createEdge(options);
  const closed = new Promise<void>((resolve, reject) => {
    const onSignal = (): void => {
      // From here on a signal meets the default action again.
      for (const signal of signals) process.off(signal, onSignal);
      edge.close().then(resolve, reject);
    };
    for (const signal of signals) process.on(signal, onSignal);
  });
  return { edge, closed };
}
