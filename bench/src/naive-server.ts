/**
 * What a web team writes in an afternoon: POST `{"pixels": [...]}`, get `{"scores": [...]}`; a plain server, one run of
 * the whole network for each request, one thread, so that it has as much of the machine as a worker of the edge.
 * Runs in a process of its own: `naive-server.js MODEL.onnx`, which prints its address.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import ort from 'onnxruntime-node';

const session = await ort.InferenceSession.create(process.argv[2]!, { intraOpNumThreads: 1 });

const server = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const { pixels } = JSON.parse(Buffer.concat(chunks).toString());
  const input = new ort.Tensor('float32', Float32Array.from(pixels), [1, 1, 28, 28]);
  const { scores } = await session.run({ pixels: input }, ['scores']);
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ scores: [...(scores!.data as Float32Array)] }));
});
// Its turns are further apart than the default of 5 s.
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${port}` })}\n`);
});
process.on('disconnect', () => process.exit());
