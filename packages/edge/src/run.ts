import { createEdge, type Edge, type EdgeOptions } from './edge.ts';

const signals = ['SIGINT', 'SIGTERM'] as const;

/**
 * Runs an edge as a process of its own until SIGINT or SIGTERM, and resolves when it has drained. A second signal
 * ends the process at once: by the signal itself, because `process.exit` during an inference aborts noisily.
 * @throws TierwiseError as `createEdge` does
 */
export async function runEdge(options: EdgeOptions, onListening: (edge: Edge) => void): Promise<void> {
  let stop: () => void = () => {};
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  // From here on a second signal meets the default action again.
  const onSignal = (): void => {
    for (const signal of signals) process.off(signal, onSignal);
    stop();
  };
  for (const signal of signals) process.on(signal, onSignal);
  try {
    const edge = await createEdge(options);
    onListening(edge);
    await stopped;
    await edge.close();
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
  }
}
