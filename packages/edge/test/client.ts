import { type Tensor, tensor } from '@tierwise/core';
import {
  decodeFrame,
  encodeFrame,
  type InferFailure,
  type InferParameters,
  type InferRequest,
  type InferResponse,
} from '@tierwise/wire';
import { WebSocket } from 'ws';

export type Reply = InferResponse | InferFailure;

/** A request with the given inputs; everything else may be left out. */
export function request(
  inputs: Record<string, Tensor>,
  rest: { modelName?: string; id?: string; parameters?: InferParameters } = {},
): InferRequest {
  return {
    kind: 'request',
    modelName: '',
    id: '',
    parameters: {},
    outputs: [],
    ...rest,
    inputs: new Map(Object.entries(inputs)),
  };
}

/** Packed bytes as the UINT8 tensor that carries them. */
export function packedTensor(bytes: Uint8Array<ArrayBuffer>): Tensor<'uint8'> {
  return tensor('uint8', [bytes.length], bytes);
}

/** A WebSocket client that knows nothing but frames. */
export interface StreamClient {
  readonly socket: WebSocket;
  send(message: InferRequest): void;
  sendBytes(bytes: Uint8Array | string): void;
  /** The next frame that arrives, or has arrived and was not yet taken. */
  next(): Promise<Reply>;
  /** Resolves with the close code. */
  readonly closed: Promise<number>;
  close(): Promise<number>;
}

export async function openStream(url: string, headers: Record<string, string> = {}): Promise<StreamClient> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v2/stream`, { headers });
  const arrived: Reply[] = [];
  const waiting: ((reply: Reply) => void)[] = [];
  socket.on('message', (data: Buffer) => {
    if (data.length === 0) return; // A beat.
    const reply = decodeFrame(data) as Reply;
    const taker = waiting.shift();
    if (taker) taker(reply);
    else arrived.push(reply);
  });
  const closed = new Promise<number>((resolve) => socket.on('close', resolve));
  await new Promise<void>((resolve, reject) => {
    socket.on('open', resolve);
    socket.on('error', reject);
  });
  return {
    socket,
    closed,
    send: (message) => socket.send(encodeFrame(message)),
    sendBytes: (bytes) => socket.send(bytes),
    next() {
      const reply = arrived.shift();
      return reply ? Promise.resolve(reply) : new Promise((resolve) => waiting.push(resolve));
    },
    close() {
      socket.close();
      return closed;
    },
  };
}
