import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeProgram } from '@tierwise/binary';
import { type Tensor, TierwiseError, tensor, toTierwiseError } from '@tierwise/core';
import { type Manifest, type Plan, parseManifest, strategies } from '@tierwise/plan';
import { createRuntime, replyMessage, serve } from '@tierwise/runtime';
import { decodeFrame, encodeFrame, failureOf, unpack } from '@tierwise/wire';
import { type WebSocket, WebSocketServer } from 'ws';
import { mainEngine } from './main-engine.ts';

/*
 * A site with a tiny bundle: four pixels, three classes. The branch scores a tenth of pixels 0, 1, 2; the main
 * network scores pixels 1, 2, 0. So [100, 0, 0, x] is sure of class a at the branch, and [3, 2, 1, x] is doubted
 * there and class c for the main network. Their energies at the branch are 10 and 1.3, and 5 is the least that is like
 * what was learnt.
 */

export const branchBytes = writeProgram(
  {
    input: { tensor: 'pixels', shape: { c: 1, h: 2, w: 2 } },
    ops: [
      { kind: 'affine', input: 0, output: 1, scale: 'one', bias: 'zero', relu: false },
      { kind: 'denseReal', input: 1, output: 2, weights: 'tenths', bias: 'zeros', channels: 3 },
    ],
    outputs: [
      { tensor: 'stem', value: 1, dims: [1, 1, 2, 2] },
      { tensor: 'branch_scores', value: 2, dims: [1, 3] },
    ],
  },
  new Map<string, Tensor>([
    ['one', tensor('float32', [1], Float32Array.of(1))],
    ['zero', tensor('float32', [1], Float32Array.of(0))],
    ['tenths', tensor('float32', [3, 4], Float32Array.of(0.1, 0, 0, 0, 0, 0.1, 0, 0, 0, 0, 0.1, 0))],
    ['zeros', tensor('float32', [3], new Float32Array(3))],
  ]),
);
export const mainBytes = new TextEncoder().encode('1 2 0');

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

export function tinyManifest(changes: Partial<Manifest> = {}): Manifest {
  const artifact = (file: string, engine: string, bytes: Uint8Array) => ({
    file,
    digest: digest(bytes),
    bytes: bytes.length,
    engine,
  });
  return parseManifest({
    format: 'tierwise/1',
    name: 'tiny',
    labels: ['a', 'b', 'c'],
    preprocess: { channels: 1, height: 2, width: 2, scale: 1, mean: [0], std: [1] },
    input: { tensor: 'pixels', dims: [1, 1, 2, 2] },
    stem: { tensor: 'stem', dims: [1, 1, 2, 2] },
    branch: {
      artifact: artifact('branch.safetensors', 'binary', branchBytes),
      scores: { tensor: 'branch_scores', dims: [1, 3] },
    },
    main: {
      artifact: artifact('model.onnx', 'onnx', mainBytes),
      scores: { tensor: 'main_scores', dims: [1, 3] },
    },
    codec: { kind: 'packed', bits: 8, lo: 0, hi: 255 },
    exit: { kind: 'entropy', threshold: 0.5 },
    rejection: { energy: 5, knownRejected: 0.05 },
    flops: { stem: 4, branch: 24, rest: 24 },
    ...changes,
  });
}

export const served = { artifacts: '../../artifacts', stream: '/v2/stream' };

type EdgeBehaviour = 'serve' | 'cut' | 'silent';

export interface Site {
  /** Of the bundle's folder, without a slash at the end. */
  readonly url: string;
  /** Paths asked for, in order. */
  readonly paths: string[];
  /** What GET answers; a test may change it. */
  readonly files: Map<string, Uint8Array | string | ((response: ServerResponse) => void)>;
  readonly sockets: ReadonlySet<WebSocket>;
  /** What happens to requests from here on; also done by GET /edge/BEHAVIOUR. After `serve`, old connections are gone. */
  edge(behaviour: EdgeBehaviour): void;
  stop(): Promise<void>;
}

/** Serves the bundle over HTTP and its sections over WebSocket, as an edge does. */
export async function startSite(manifest: Manifest = tinyManifest({ served })): Promise<Site> {
  const paths: string[] = [];
  /** The manifest with a branch of another digest. */
  const changed = (other: string) => {
    const { branch } = manifest;
    const artifact = { ...branch.artifact, digest: other };
    return JSON.stringify({ ...manifest, branch: { ...branch, artifact } });
  };
  const files: Site['files'] = new Map<string, string | Uint8Array | ((response: ServerResponse) => void)>([
    ['/models/tiny/manifest.json', JSON.stringify(manifest)],
    ['/models/tiny/branch.safetensors', branchBytes],
    ['/models/tiny/model.onnx', mainBytes],
    [`/artifacts/${digest(branchBytes)}`, branchBytes],
    [`/artifacts/${digest(mainBytes)}`, mainBytes],
    // As bundles were before they could reject.
    ['/models/tiny-old/manifest.json', JSON.stringify({ ...manifest, rejection: undefined })],
    ['/models/tiny-damaged/manifest.json', changed(digest(mainBytes.subarray(1)))],
    [`/artifacts/${digest(mainBytes.subarray(1))}`, branchBytes],
    ['/models/tiny-endless/manifest.json', changed('0'.repeat(64))],
    [
      `/artifacts/${'0'.repeat(64)}`,
      (response) => {
        response.writeHead(200).write(branchBytes.subarray(0, 100));
      },
    ],
    ...(['serve', 'cut', 'silent'] as const).map(
      (behaviour) =>
        [
          `/edge/${behaviour}`,
          (response: ServerResponse) => {
            edge(behaviour);
            response.end();
          },
        ] as const,
    ),
  ]);
  let behaviour: EdgeBehaviour = 'serve';
  function edge(next: EdgeBehaviour): void {
    if (next === 'serve' && behaviour !== 'serve') for (const socket of sockets.clients) socket.terminate();
    behaviour = next;
  }
  const server = createServer((request, response) => {
    paths.push(request.url!);
    const found = files.get(request.url!);
    if (typeof found === 'function') found(response);
    else if (found === undefined) response.writeHead(404).end();
    else response.end(found);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');

  const runtime = createRuntime({
    place: 'edge',
    engines: [mainEngine],
    artifact: async () => mainBytes,
    now: () => performance.now(),
  });
  const sockets = new WebSocketServer({ server, path: '/v2/stream' });
  sockets.on('connection', (socket) => {
    socket.on('message', async (data) => {
      if (behaviour === 'cut') socket.terminate();
      if (behaviour !== 'serve') return;
      const request = decodeFrame(new Uint8Array(data as Buffer));
      if (request.kind !== 'request') return;
      try {
        const inputs = new Map(
          [...request.inputs].map(([name, packed]) => [name, unpack(packed.data as Uint8Array)]),
        );
        const plan = planOf(manifest, String(request.parameters['plan']));
        const outcome = await serve(runtime, plan, String(request.parameters['section']), inputs);
        socket.send(encodeFrame(replyMessage(outcome, request)));
      } catch (error) {
        socket.send(encodeFrame(failureOf(toTierwiseError(error), request.id)));
      }
    });
  });

  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/models/tiny`,
    paths,
    files,
    sockets: sockets.clients,
    edge,
    async stop() {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await runtime.dispose();
    },
  };
}

/** The Plan of that id, made here as the device made it there. */
function planOf(manifest: Manifest, id: string): Plan {
  const plan = plansOf(manifest).find((candidate) => candidate.id === id);
  if (plan === undefined) throw new TierwiseError('ARTIFACT_UNKNOWN', `no Plan ${id}`);
  return plan;
}

/** The Plan of each strategy. */
export function plansOf(manifest: Manifest): Plan[] {
  const context = {
    uplinkBitsPerSecond: 1e6,
    downlinkBitsPerSecond: 1e6,
    roundTripMs: 1,
    edge: true,
    resident: [],
  };
  const profile = { deviceFlopsPerSecond: 1e9, edgeFlopsPerSecond: 1e9 };
  return Object.values(strategies).map(
    (strategy) => strategy(manifest, profile, context, { objective: 'latency', rawInputMayLeave: true }).plan,
  );
}
