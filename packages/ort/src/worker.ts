/** One thread of an OrtPool: loads graphs and runs them, one message at a time. */
import { parentPort } from 'node:worker_threads';
import { TierwiseError } from '@tierwise/core';
import { runsBatches } from './batches.ts';
import { buffersOf, type FromWorker, type ToWorker, toPlain } from './protocol.ts';
import { type OrtSession, openSession } from './session.ts';

if (parentPort === null) throw new TierwiseError('INTERNAL', 'internal: this file is a worker thread');
const inbox = parentPort;

/** A load that failed stays here, so that a run of its model reports the failure. */
const sessions = new Map<number, Promise<OrtSession>>();

async function handle(message: ToWorker): Promise<[FromWorker, ArrayBuffer[]] | undefined> {
  switch (message.kind) {
    case 'load': {
      const session = openSession(copyOfShared(message.bytes), message.options);
      sessions.set(message.model, session);
      const loaded = await session;
      const batches = message.trial !== undefined && (await runsBatches(loaded, message.trial));
      return [
        { kind: 'loaded', job: message.job, inputs: loaded.inputs, outputs: loaded.outputs, batches },
        [],
      ];
    }
    case 'unload': {
      const session = sessions.get(message.model);
      sessions.delete(message.model);
      await dispose(session);
      return undefined;
    }
    case 'close':
      for (const session of sessions.values()) await dispose(session);
      inbox.close();
      return undefined;
    case 'run': {
      const session = await sessions.get(message.model);
      if (session === undefined) throw new TierwiseError('DISPOSED', 'the model was unloaded');
      const start = performance.now();
      const outputs = await session.run(message.feeds, message.fetches);
      const computeMs = performance.now() - start;
      return [{ kind: 'done', job: message.job, outputs, computeMs }, buffersOf(outputs.values())];
    }
    default:
      message satisfies never;
      return undefined;
  }
}

/** A load that failed has been reported, and leaves nothing to free. */
async function dispose(session: Promise<OrtSession> | undefined): Promise<void> {
  await session?.then(
    (loaded) => loaded.dispose(),
    () => undefined,
  );
}

/** ONNX Runtime does not read shared memory. */
function copyOfShared(bytes: SharedArrayBuffer): Uint8Array {
  const copy = new Uint8Array(bytes.byteLength);
  copy.set(new Uint8Array(bytes));
  return copy;
}

// Loading and running yield to the event loop once, so the order of messages is kept by this chain.
let last: Promise<void> = Promise.resolve();
inbox.on('message', (message: ToWorker) => {
  last = last.then(async () => {
    try {
      const reply = await handle(message);
      if (reply !== undefined) inbox.postMessage(...reply);
    } catch (error) {
      if (message.kind === 'unload' || message.kind === 'close') throw error;
      inbox.postMessage({ kind: 'failed', job: message.job, error: toPlain(error) } satisfies FromWorker);
    }
  });
});
inbox.postMessage({ kind: 'ready' } satisfies FromWorker);
