import { expect, it } from 'vitest';
import { createEdge } from '../src/index.ts';
import { openStream } from './client.ts';
import { modelsFolder } from './tiny-bundle.ts';

it('logs which route was answered how, and neither bodies nor headers nor queries', async () => {
  const models = await modelsFolder();
  await models.add();
  const lines: string[] = [];
  const stream = { write: (line: string) => void lines.push(line) };
  const edge = await createEdge({ models: models.path, port: 0, logger: { level: 'debug', stream } });
  const token = 'very-secret-token';
  await fetch(`${edge.url}/v2/models/tiny/infer?token=${token}`, {
    method: 'POST',
    body: JSON.stringify({
      id: token,
      inputs: [{ name: 'pixels', shape: [1], datatype: 'FP32', data: [1] }],
    }),
    headers: { authorization: token, cookie: token },
  });
  await fetch(`${edge.url}/nope?token=${token}`);
  const client = await openStream(edge.url, { authorization: token });
  client.sendBytes(new TextEncoder().encode(token));
  await client.next();
  await client.close();
  await edge.close();
  await models.dispose();
  const all = lines.join('');
  expect(all).not.toContain(token);
  expect(all).toContain('"route":"/v2/models/:model/infer","status":400');
  for (const line of lines) expect(JSON.parse(line)).toMatchObject({ level: expect.any(Number) });
});
