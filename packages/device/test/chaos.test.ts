/** A thousand pictures over links that break, between the SDK and a real edge. */
import { random } from '@tierwise/core';
import { createRelay, type Direction, type Relay } from '@tierwise/relay';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { load } from '../src/load.ts';
import { startRealEdge } from './real-edge.ts';

const pages = 20;
const each = 50;
const fast = { bitsPerSecond: 1e8, delayMs: 0 };
const slow = { bitsPerSecond: 4e5, delayMs: 2 };

/** A link that breaks every connection somewhere: in a handshake, a frame up or a frame down. */
function faultyLink(port: number, draw: ReturnType<typeof random>): Promise<Relay> {
  const kind = (['stall', 'cut', 'reset'] as const)[draw.below(3)]!;
  const line = draw.below(4) === 0 ? slow : fast;
  const broken: Direction = { ...line, fault: { kind, afterBytes: draw.below(12_000) } };
  const [up, down] = draw.below(2) === 0 ? [broken, line] : [line, broken];
  return createRelay({ target: { host: '127.0.0.1', port }, up, down });
}

test('each is answered exactly once, by the edge as it answers undisturbed, or by the branch and marked', async () => {
  await using edge = await startRealEdge();
  const address = `${edge.url}/models/lenet-mnist`;
  const pictures = Array.from({ length: 20 }, (_, i) => {
    const draw = random(3, i);
    return { data: Uint8Array.from({ length: 784 }, () => draw.below(256)), width: 28, height: 28 };
  });
  const undisturbed = await load(address, { WebSocket });
  const expected = await Promise.all(
    pictures.map(async (picture) => ({
      edge: (await undisturbed.classify(picture, { threshold: 0 })).classIndex,
      branch: (await undisturbed.classify(picture, { threshold: 1.01 })).classIndex,
    })),
  );
  await undisturbed.dispose();

  const counts = { edge: 0, degraded: 0 };
  async function page(number: number): Promise<void> {
    const draw = random(5, number);
    await using relay = await faultyLink(edge.port, draw);
    await using composite = await load(address, {
      WebSocket,
      edge: `http://127.0.0.1:${relay.port}/v2/stream`,
    });
    for (let i = 0; i < each; i++) {
      const which = draw.below(pictures.length);
      const answer = await composite.classify(pictures[which]!, { threshold: 0, timeoutMs: 150 });
      if (answer.degraded === undefined) {
        expect(answer).toMatchObject({ tier: 'edge', classIndex: expected[which]!.edge });
        counts.edge++;
      } else {
        expect(answer.degraded.code).toMatch(/^(TIMEOUT|EDGE_UNREACHABLE|OVERLOADED)$/);
        expect(answer).toMatchObject({ tier: 'device', classIndex: expected[which]!.branch });
        counts.degraded++;
      }
    }
  }
  await Promise.all(Array.from({ length: pages }, (_, number) => page(number)));
  expect(counts.edge + counts.degraded).toBe(pages * each);
  // A test of breaking links is none when nothing breaks, or nothing passes.
  expect(Math.min(counts.edge, counts.degraded)).toBeGreaterThan(20);
  const open = 'tierwise_websocket_connections';
  await expect.poll(async () => (await edge.metrics()).get(open)).toBe(0);
});
