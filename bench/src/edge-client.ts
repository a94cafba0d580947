/** The client of `bench edge`, in a process of its own: asks servers again and again, and times each answer. */
import { type EventEmitter, once } from 'node:events';
import { connect } from 'node:net';
import { decodeBody, decodeFrame, errorOf, type InferMessage } from '@tierwise/wire';
import { WebSocket } from 'ws';

/** How requests are written, and answers: frames over WebSockets, HTTP bodies of the protocol, JSON of our own. */
export type Form = 'frame' | 'protocol' | 'plain';

/** Eight digits, in a frame the key of a sample: no two requests may have the same one. */
export const keyPlaceholder = '00000000';

/** Opens `connections` to one server, each with one request under way at a time. */
export interface OpenMessage {
  readonly kind: 'open';
  readonly name: string;
  readonly url: string;
  readonly form: Form;
  readonly connections: number;
  /** Whole frames or HTTP requests, asked in turn. */
  readonly questions: readonly Uint8Array[];
}

export interface TurnMessage {
  readonly kind: 'turn';
  readonly name: string;
  readonly ms: number;
}

/** What a turn gave. */
export interface Turn {
  readonly elapsedMs: number;
  /** From handing a request to the socket to its scores being read, of each answer. */
  readonly latenciesMs: Float64Array;
  /** The last scores for each question. */
  readonly scores: readonly (readonly number[])[];
}

/** What the client answers a message. */
export type ClientAnswer = { readonly turn?: Turn; readonly error?: string };

type Ask = (question: Uint8Array) => Promise<readonly number[]>;

const opened = new Map<
  string,
  { readonly questions: readonly Uint8Array[]; readonly asks: readonly Ask[] }
>();
let requests = 0;

async function open({ name, url, form, connections, questions }: OpenMessage): Promise<void> {
  const { hostname, port } = new URL(url);
  const connected = Array.from({ length: connections }, () =>
    form === 'frame'
      ? openSocket(`ws://${hostname}:${port}/v2/stream`)
      : openHttp(Number(port), hostname, form),
  );
  opened.set(name, { questions, asks: await Promise.all(connected) });
}

async function turn({ name, ms }: TurnMessage): Promise<Turn> {
  const { questions, asks } = opened.get(name)!;
  const latencies: number[] = [];
  const scores: (readonly number[])[] = [];
  const begun = performance.now();
  await Promise.all(
    asks.map(async (ask, first) => {
      for (let n = first; performance.now() < begun + ms; n++) {
        const which = n % questions.length;
        const start = performance.now();
        scores[which] = await ask(questions[which]!);
        latencies.push(performance.now() - start);
      }
    }),
  );
  return { elapsedMs: performance.now() - begun, latenciesMs: Float64Array.from(latencies), scores };
}

async function openSocket(url: string): Promise<Ask> {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  await once(socket, 'open');
  failOnClose(socket);
  return async (question) => {
    const bytes = Buffer.from(question);
    bytes.write(String(++requests).padStart(8, '0'), bytes.indexOf(keyPlaceholder));
    socket.send(bytes);
    for (;;) {
      const [answer] = await once(socket, 'message');
      // An empty message only says that the edge is there.
      if (answer.length > 0) return scoresOf(decodeFrame(answer));
    }
  };
}

/** HTTP with nothing but what these servers say, since a whole client would take more of the machine than they do. */
async function openHttp(port: number, host: string, form: Form): Promise<Ask> {
  const socket = connect(port, host).setNoDelay();
  await once(socket, 'connect');
  failOnClose(socket);
  return async (question) => {
    socket.write(question);
    let received = Buffer.alloc(0);
    for (;;) {
      received = Buffer.concat([received, (await once(socket, 'data'))[0]]);
      const end = received.indexOf('\r\n\r\n');
      if (end < 0) continue;
      const head = received.toString('latin1', 0, end).toLowerCase();
      const length = Number(/\r\ncontent-length: (\d+)/.exec(head)?.[1]);
      if (received.length < end + 4 + length) continue;
      const body = received.subarray(end + 4);
      if (!head.startsWith('http/1.1 200')) throw new Error(`${head}\n${body}`);
      if (form === 'plain') return JSON.parse(String(body)).scores;
      const jsonLength = /\r\ninference-header-content-length: (\d+)/.exec(head)?.[1];
      return scoresOf(decodeBody(body, jsonLength === undefined ? undefined : Number(jsonLength)));
    }
  };
}

/** Whoever waits for something of `socket` must not wait for ever; without a listener the error ends the process. */
function failOnClose(socket: EventEmitter): void {
  socket.once('close', () => socket.emit('error', new Error('the server hung up')));
}

function scoresOf(message: InferMessage): number[] {
  if (message.kind === 'failure') throw errorOf(message);
  if (message.kind === 'request') throw new Error('a request came as an answer');
  return Array.from([...message.outputs.values()][0]!.data, Number);
}

async function answer(message: OpenMessage | TurnMessage): Promise<ClientAnswer> {
  if (message.kind === 'turn') return { turn: await turn(message) };
  await open(message);
  return {};
}

process.on('message', async (message: OpenMessage | TurnMessage) => {
  process.send!(await answer(message).catch((error: unknown): ClientAnswer => ({ error: String(error) })));
});
process.on('disconnect', () => process.exit());
