import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { tensor } from '@tierwise/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStream, request } from './client.ts';
import { dims, modelsFolder, picture } from './tiny-bundle.ts';

let models: Awaited<ReturnType<typeof modelsFolder>>;
beforeAll(async () => {
  models = await modelsFolder();
  await models.add({ heavy: 40 });
});
afterAll(() => models.dispose());

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
  const ended = once(child, 'exit');
  const lines: string[] = [];
  const output = createInterface({ input: child.stdout! });
  output.on('line', (line) => lines.push(line));
  const [url] = (await once(output, 'line')) as [string];
  return { child, url, lines, ended };
}

/** Resolves when one run waits for a worker, so that another one computes. */
async function untilBusy(url: string): Promise<void> {
  while (!(await (await fetch(`${url}/metrics`)).text()).includes('\ntierwise_queued_runs 1\n'));
}

describe('runEdge', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('drains on %s and lets the process end', async (signal) => {
    const { child, url, lines, ended } = await start();
    const client = await openStream(url);
    client.send(message('a'));
    client.send(message('b'));
    await untilBusy(url);
    child.kill(signal);
    expect(await client.next()).toMatchObject({ kind: 'response', id: 'a' });
    expect(await client.next()).toMatchObject({ kind: 'response', id: 'b' });
    expect(await client.closed).toBe(1001);
    expect(await ended).toEqual([0, null]);
    expect(lines).toEqual([url, 'drained']);
  });

  it('ends at once on a second signal', async () => {
    const { child, url, lines, ended } = await start();
    const client = await openStream(url);
    client.send(message('a'));
    client.send(message('b'));
    await untilBusy(url);
    child.kill('SIGINT');
    while ((await fetch(`${url}/v2/health/ready`)).status !== 503);
    child.kill('SIGINT');
    expect(await ended).toEqual([null, 'SIGINT']);
    expect(lines).toEqual([url]);
    client.socket.terminate();
  });
});
