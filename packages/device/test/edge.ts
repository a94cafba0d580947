import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tensor } from '@tierwise/core';
import { decodeFrame, encodeFrame, type InferMessage, type InferRequest } from '@tierwise/wire';
import { type WebSocket, WebSocketServer } from 'ws';

export interface TestEdge {
  readonly url: string;
  readonly port: number;
  readonly server: WebSocketServer;
  stop(): Promise<void>;
}

/** A WebSocket server whose every binary message goes to `answer`, decoded. */
export async function startEdge(
  answer: (request: InferRequest, socket: WebSocket) => void,
  port = 0,
): Promise<TestEdge> {
  const server = new WebSocketServer({ host: '127.0.0.1', port });
  await once(server, 'listening');
  server.on('connection', (socket) => {
    socket.on('message', (data) => {
      const message = decodeFrame(new Uint8Array(data as Buffer));
      if (message.kind === 'request') answer(message, socket);
    });
  });
  const listening = (server.address() as AddressInfo).port;
  return {
    url: `ws://127.0.0.1:${listening}`,
    port: listening,
    server,
    async stop() {
      for (const client of server.clients) client.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A response to `request` with three scores, the first being `score`. */
export function scored(request: InferRequest, score: number): InferMessage {
  const scores = tensor('float32', [1, 3], Float32Array.of(score, 0, 0));
  return {
    kind: 'response',
    modelName: request.modelName,
    id: request.id,
    parameters: { queueMs: 1, computeMs: 2 },
    outputs: new Map([['scores', scores]]),
  };
}

export function reply(socket: WebSocket, message: InferMessage): void {
  socket.send(encodeFrame(message));
}
