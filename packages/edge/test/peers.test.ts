/*
 * Peers that we did not write. Triton's client is replayed: requests.bin is what tritonclient 58a44caa (May 2026) with
 * geventhttpclient 2.0.8 sent for triton/client.py, byte for byte. Where they are, the peers themselves run, too:
 *
 *   TIERWISE_TRITON     folder that holds `tritonclient`; needs Debian's python3-geventhttpclient, -rapidjson, -numpy
 *   TIERWISE_PROMTOOL   promtool, of Debian's `prometheus`
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { tensor } from '@tierwise/core';
import { decodeBody } from '@tierwise/wire';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createEdge, type Edge } from '../src/index.ts';
import { openStream, request } from './client.ts';
import { dims, expectedScores, expectedStem, modelsFolder, picture } from './tiny-bundle.ts';

const run = promisify(execFile);
let edge: Edge;
let models: Awaited<ReturnType<typeof modelsFolder>>;
beforeAll(async () => {
  models = await modelsFolder();
  await models.add();
  edge = await createEdge({ models: models.path, port: 0 });
});
afterAll(async () => {
  await edge.close();
  await models.dispose();
});

interface Answer {
  readonly status: number;
  readonly headers: Map<string, string>;
  readonly body: Buffer;
}

/** Sends what a client sent on one connection, and gives the `count` answers. */
async function replay(bytes: Buffer, count: number): Promise<Answer[]> {
  const socket = connect(edge.port, '127.0.0.1');
  socket.write(bytes);
  const answers: Answer[] = [];
  let rest = Buffer.alloc(0);
  for await (const part of socket) {
    rest = Buffer.concat([rest, part as Buffer]);
    for (let end = rest.indexOf('\r\n\r\n') + 4; end > 3; end = rest.indexOf('\r\n\r\n') + 4) {
      const [first, ...lines] = rest
        .subarray(0, end - 4)
        .toString()
        .split('\r\n');
      const headers = new Map(lines.map((line) => line.toLowerCase().split(': ', 2) as [string, string]));
      const length = Number(headers.get('content-length'));
      if (rest.length < end + length) break;
      answers.push({ status: Number(first!.split(' ')[1]), headers, body: rest.subarray(end, end + length) });
      rest = rest.subarray(end + length);
    }
    if (answers.length === count) break;
  }
  return answers;
}

it("answers what Triton's client sends", async () => {
  const recorded = new URL('triton/requests.bin', import.meta.url);
  const [live, ready, modelReady, server, model, config, index, ...inferred] = await replay(
    await readFile(recorded),
    11,
  );
  for (const answer of [live, ready, modelReady]) expect(answer?.status).toBe(200);
  const json = (answer: Answer | undefined): unknown => JSON.parse(String(answer?.body));
  expect(json(server)).toMatchObject({ extensions: expect.arrayContaining(['binary_tensor_data']) });
  expect(json(model)).toMatchObject({ inputs: [{ name: 'pixels', datatype: 'FP32', shape: [-1, 1, 4, 4] }] });
  expect(json(config)).toMatchObject({ max_batch_size: 0 });
  expect(json(index)).toMatchObject([{ name: 'tiny' }, { name: 'tiny.rest' }]);
  const pixels = Array.from({ length: 32 }, (_, i) => i);
  const expected = [pixels.slice(0, 16), pixels.slice(16)].flatMap((sample) => expectedScores(sample));
  expect(inferred.map(({ headers }) => headers.get('content-type'))).toEqual([
    'application/octet-stream',
    'application/json',
    'application/octet-stream',
    'application/octet-stream',
  ]);
  for (const { status, headers, body } of inferred) {
    expect(status).toBe(200);
    const jsonLength = headers.get('inference-header-content-length');
    const answer = decodeBody(body, jsonLength === undefined ? undefined : Number(jsonLength));
    if (answer.kind !== 'response') throw new Error(`a ${answer.kind}`);
    expect(answer.id).toBe('from triton');
    const { dims: shape, data } = answer.outputs.get('scores')!;
    expect(shape).toEqual([2, 3]);
    for (const [i, value] of expected.entries()) expect(Number(data[i])).toBeCloseTo(value, 2);
  }
});

const { TIERWISE_TRITON: triton, TIERWISE_PROMTOOL: promtool } = process.env;

if (triton) {
  it("satisfies Triton's client", async () => {
    const client = fileURLToPath(new URL('triton/client.py', import.meta.url));
    const { stdout } = await run('/usr/bin/python3', [client, `127.0.0.1:${edge.port}`, triton]);
    expect(JSON.parse(stdout)).toHaveLength(2);
  });
}

if (promtool) {
  it('gives metrics that promtool finds nothing wrong with', async () => {
    const client = await openStream(edge.url);
    const stem = tensor('float32', dims.stem, Float32Array.from(expectedStem(picture())));
    const parameters = { entropy: 0.4, branchClass: 1, deviceExits: 3, predictedMs: 2 };
    client.send(request({ stem }, { modelName: 'tiny.rest', parameters }));
    expect(await client.next()).toMatchObject({ kind: 'response' });
    await client.close();
    const checking = execFile(promtool, ['check', 'metrics']);
    const ended = once(checking, 'close');
    checking.stdin!.end(await (await fetch(`${edge.url}/metrics`)).text());
    const [out, problems] = await Promise.all([text(checking.stdout!), text(checking.stderr!)]);
    expect(out + problems).toBe('');
    expect(await ended).toEqual([0, null]);
  });
}
