import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { tensor } from '@tierwise/core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openStream, request, type StreamClient } from './client.ts';
import { dims, longRun, modelsFolder, picture } from './tiny-bundle.ts';

let models: Awaited<ReturnType<typeof modelsFolder>>;
beforeAll(async () => {
  models = await modelsFolder();
  await models.add({ heavy: longRun });
});
afterAll(() => models.dispose());

const children: ChildProcess[] = [];
// One that a failed test has left would run on for ever.
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

const message = (id: string) =>
  request({ pixels: tensor('float32', dims.input, picture()) }, { modelName: 'tiny', id });

/** The built package in a process of its own, which prints its address and, at the end, `drained`. */
async function start(): Promise<{
  child: ChildProcess;
  url: string;
  lines: string[];
  ended: Promise<unknown[]>;
}> {
  const program = `
    import { runEdge } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)};
    const { edge, closed } = await runEdge({ models: ${JSON.stringify(models.path)}, port: 0, maxBatch: 1 });
    console.log(edge.url);
    await closed;
    console.log('drained');`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const ended = once(child, 'exit');
  const lines: string[] = [];
  const output = createInterface({ input: child.stdout! });
  output.on('line', (line) => lines.push(line));
  const [url] = (await once(output, 'line')) as [string];
  return { child, url, lines, ended };
}

const metrics = async (url: string) => (await fetch(`${url}/metrics`)).text();

/** A client of which one run computes and another one waits for the worker. */
async function busyClient(url: string): Promise<StreamClient> {
  const client = await openStream(url);
  await metrics(url); // The first fetch of a process is slow, and would come too late to see them.
  client.send(message('a'));
  client.send(message('b'));
  while (!(await metrics(url)).includes('\ntierwise_queued_runs 1\n'));
  return client;
}

describe('runEdge', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('drains on %s and lets the process end', async (signal) => {
    const { child, url, lines, ended } = await start();
    const client = await busyClient(url);
    child.kill(signal);
    expect(await client.next()).toMatchObject({ kind: 'response', id: 'a' });
    expect(await client.next()).toMatchObject({ kind: 'response', id: 'b' });
    expect(await client.closed).toBe(1001);
    expect(await ended).toEqual([0, null]);
    expect(lines).toEqual([url, 'drained']);
  });

  it('ends at once on a second signal', async () => {
    const { child, url, lines, ended } = await start();
    const client = await busyClient(url);
    child.kill('SIGINT');
    while ((await fetch(`${url}/v2/health/ready`)).status !== 503);
    child.kill('SIGINT');
    expect(await ended).toEqual([null, 'SIGINT']);
    expect(lines).toEqual([url]);
    client.socket.terminate();
  });
});
