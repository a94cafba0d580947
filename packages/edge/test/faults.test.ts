import { random, TierwiseError, tensor } from '@tierwise/core';
import { createRelay, type Direction, type Relay } from '@tierwise/relay';
import { decodeFrame, encodeFrame, errorOf } from '@tierwise/wire';
import { expect, it } from 'vitest';
import { createEdge } from '../src/index.ts';
import { openStream, type Reply, request } from './client.ts';
import { dims, expectedScores, expectedStem, modelsFolder, picture } from './tiny-bundle.ts';

const requests = 1000;
const pages = 20;
/** How long a page waits for an answer over a link that may have fallen silent. */
const patienceMs = 150;

const fast = { bitsPerSecond: 1e8, delayMs: 0 };
const slow = { bitsPerSecond: 2e5, delayMs: 2 };

/** A link that breaks every connection somewhere: a handshake, a frame up or a frame down. */
async function faultyLink(port: number, draw: ReturnType<typeof random>): Promise<Relay> {
  const kind = (['stall', 'cut', 'reset'] as const)[draw.below(3)]!;
  const line = draw.below(4) === 0 ? slow : fast;
  const broken: Direction = { ...line, fault: { kind, afterBytes: draw.below(6000) } };
  const [up, down] = draw.below(2) === 0 ? [broken, line] : [line, broken];
  return createRelay({ target: { host: '127.0.0.1', port }, up, down });
}

/** `work`, or undefined when it fails or takes longer than a page waits. */
async function inTime<T>(work: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, patienceMs, undefined);
  });
  try {
    return await Promise.race([work.catch(() => undefined), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What keeps a process busy with the network or with workers. */
const resources = () =>
  process
    .getActiveResourcesInfo()
    .filter((name) => /TCP|Pipe|MessagePort|Worker/.test(name))
    .sort();

it('answers each of 1,000 requests once, whatever the links do', async () => {
  const models = await modelsFolder();
  await models.add();
  const before = resources();
  const edge = await createEdge({ models: models.path, port: 0, workers: 2, logger: { level: 'silent' } });
  let fallbacks = 0;

  async function post(message: ReturnType<typeof request>): Promise<Reply> {
    const response = await fetch(`${edge.url}/v2/stream`, { method: 'POST', body: encodeFrame(message) });
    return decodeFrame(new Uint8Array(await response.arrayBuffer())) as Reply;
  }

  /** One page: it asks over its link, and by POST around it when that gives nothing. */
  async function page(number: number): Promise<void> {
    const draw = random(5, number);
    const relay = await faultyLink(edge.port, draw);
    const url = `http://127.0.0.1:${relay.port}`;
    let stream = await inTime(openStream(url));
    for (let i = 0; i < requests / pages; i++) {
      const id = `${number}-${i}`;
      const seed = 1 + draw.below(1000);
      const stem = tensor('float32', dims.stem, Float32Array.from(expectedStem(picture(seed))));
      const parameters = { key: id, deadlineMs: 30_000 };
      const message = request({ stem }, { modelName: 'tiny.rest', id, parameters });
      stream ??= await inTime(openStream(url));
      const twice = draw.below(10) === 0;
      stream?.send(message);
      if (twice) stream?.send(message);
      let reply: Reply | undefined = stream && (await inTime(stream.next()));
      if (twice && reply) reply = stream && (await inTime(stream.next()));
      if (reply === undefined) {
        stream?.socket.terminate();
        stream = undefined;
        fallbacks++;
        // Twice here too: on a busy machine few links come up in time to repeat anything.
        if (twice) await post(message);
        reply = await post(message);
      }
      if (reply.kind === 'failure') throw errorOf(reply);
      if (reply.id !== id) throw new TierwiseError('INTERNAL', `${reply.id} was answered instead of ${id}`);
      expect(Number(reply.outputs.get('scores')!.data[1])).toBeCloseTo(expectedScores(picture(seed))[1]!, 2);
    }
    stream?.socket.terminate();
    await relay.close();
  }

  await Promise.all(Array.from({ length: pages }, (_, number) => page(number)));

  const metrics = async () => {
    const text = await (await fetch(`${edge.url}/metrics`)).text();
    const sum = (pattern: RegExp) =>
      [...text.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0);
    return {
      computed: sum(/^tierwise_requests_total\{.*outcome="ok"\} (\d+)$/gm),
      repeated: sum(/^tierwise_requests_total\{.*outcome="repeated"\} (\d+)$/gm),
      open: sum(/^tierwise_websocket_connections (\d+)$/gm),
      busy: sum(/^tierwise_(?:queued_runs|busy_workers) (\d+)$/gm),
    };
  };
  const { computed, repeated } = await metrics();
  expect(fallbacks).toBeGreaterThan(pages / 2);
  // Nothing was answered anew that had been answered before, and requests did come again.
  expect(computed).toBeLessThanOrEqual(requests);
  expect(computed + repeated).toBeGreaterThanOrEqual(requests);
  expect(repeated).toBeGreaterThan(10);
  for (let now = await metrics(); now.open + now.busy > 0; now = await metrics());
  await edge.close();
  await models.dispose();
  expect(resources()).toEqual(before);
});
