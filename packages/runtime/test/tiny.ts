import { createHash } from 'node:crypto';
import { type Tensor, TierwiseError, tensor } from '@tierwise/core';
import {
  type Context,
  type Digest,
  type Engine,
  type EngineName,
  type Manifest,
  type Plan,
  type Profile,
  parseManifest,
  type Requirement,
} from '@tierwise/plan';
import { decodeFrame, encodeFrame, unpack } from '@tierwise/wire';
import { readReply, replyMessage, requestMessage, sentWith } from '../src/messages.ts';
import type { Runtime } from '../src/runtime.ts';
import { serve } from '../src/serve.ts';
import type { Transport } from '../src/transport.ts';

/** What a tiny engine runs: each output is a matrix times the one input, or a copy of it. */
export type TinyArtifact = Readonly<Record<string, readonly (readonly number[])[] | 'copy'>>;

export interface TinyEngine extends Engine {
  /** Sections loaded, running now, and disposed so far. */
  readonly counts: { loads: number; running: number; disposals: number };
}

/** An engine for matrices in JSON; `gate` is awaited in every run, so that a test can hold one. */
export function tinyEngine(name: EngineName, gate: () => Promise<void> = async () => {}): TinyEngine {
  const counts = { loads: 0, running: 0, disposals: 0 };
  return {
    name,
    counts,
    async load(artifact, section) {
      counts.loads++;
      let matrices: TinyArtifact;
      try {
        matrices = JSON.parse(new TextDecoder().decode(artifact));
      } catch (cause) {
        throw new TierwiseError('MODEL_CORRUPT', 'not JSON', {}, { cause });
      }
      return {
        async run(inputs) {
          counts.running++;
          await gate();
          counts.running--;
          const x = inputs.get(section.inputs[0]!.tensor)!.data as Float32Array;
          const outputs = section.outputs.map((port): [string, Tensor] => {
            const matrix = matrices[port.tensor]!;
            const y =
              matrix === 'copy'
                ? x.slice()
                : Float32Array.from(matrix, (row) => row.reduce((sum, w, i) => sum + w * x[i]!, 0));
            return [port.tensor, tensor('float32', port.dims, y)];
          });
          return new Map(outputs);
        },
        async dispose() {
          counts.disposals++;
        },
      };
    },
  };
}

/** Four pixels, three classes. The branch scores a tenth of what the main network does, so it is less sure. */
export const branchArtifact: TinyArtifact = {
  stem: 'copy',
  branch_scores: [
    [0.1, 0, 0, 0],
    [0, 0.1, 0, 0],
    [0, 0, 0.1, 0],
  ],
};
export const mainArtifact: TinyArtifact = {
  main_scores: [
    [0, 1, 0, 0],
    [0, 0, 1, 0],
    [1, 0, 0, 0],
  ],
};

export function bytesOf(artifact: TinyArtifact): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(artifact));
}

export function digestOf(bytes: Uint8Array): Digest {
  return createHash('sha256').update(bytes).digest('hex') as Digest;
}

export function tinyManifest(branch = branchArtifact, main = mainArtifact): Manifest {
  const artifact = (file: string, engine: EngineName, content: TinyArtifact) => {
    const bytes = bytesOf(content);
    return { file, digest: digestOf(bytes), bytes: bytes.length, engine };
  };
  return parseManifest({
    format: 'tierwise/1',
    name: 'tiny',
    labels: ['a', 'b', 'c'],
    preprocess: { channels: 1, height: 2, width: 2, scale: 1, mean: [0], std: [1] },
    input: { tensor: 'pixels', dims: [1, 1, 2, 2] },
    stem: { tensor: 'stem', dims: [1, 1, 2, 2] },
    branch: {
      artifact: artifact('branch.json', 'binary', branch),
      scores: { tensor: 'branch_scores', dims: [1, 3] },
    },
    main: { artifact: artifact('main.json', 'onnx', main), scores: { tensor: 'main_scores', dims: [1, 3] } },
    codec: { kind: 'packed', bits: 8, lo: 0, hi: 255 },
    exit: { kind: 'entropy', threshold: 0.5 },
    flops: { stem: 4, branch: 24, rest: 24 },
  });
}

export const profile: Profile = { deviceFlopsPerSecond: 1e9, edgeFlopsPerSecond: 1e9 };
export const context: Context = {
  uplinkBitsPerSecond: 1e6,
  downlinkBitsPerSecond: 1e6,
  roundTripMs: 10,
  edge: true,
  resident: [],
};
export const requirement: Requirement = { objective: 'latency', rawInputMayLeave: true };

/** An artifact source over the given artifacts. */
export function store(...artifacts: TinyArtifact[]): (digest: Digest) => Promise<Uint8Array> {
  const files = new Map(artifacts.map(bytesOf).map((bytes) => [digestOf(bytes), bytes]));
  return async (digest) => {
    const bytes = files.get(digest);
    if (bytes === undefined) throw new TierwiseError('ARTIFACT_UNKNOWN', `no artifact ${digest}`);
    return bytes;
  };
}

/** A transport to `runtime` through real frames, as a WebSocket would carry them. */
export function framesTo(runtime: Runtime, plan: Plan): Transport {
  return async (request) => {
    const message = requestMessage(request, '7');
    const frame = encodeFrame(message);
    request.onSent(sentWith(request, message));
    const asked = decodeFrame(frame);
    if (asked.kind !== 'request') throw new Error('a request became something else');
    const inputs = new Map(
      [...asked.inputs].map(([name, packed]) => [name, unpack(packed.data as Uint8Array)]),
    );
    const outcome = await serve(runtime, plan, String(asked.parameters['section']), inputs);
    const back = encodeFrame(replyMessage(outcome, asked));
    const reply = decodeFrame(back);
    if (reply.kind !== 'response') throw new Error('a response became something else');
    return { ...readReply(reply), uplinkBytes: frame.length, downlinkBytes: back.length };
  };
}

/** Pixels as the tiny network's input. */
export function pixels(...values: number[]): Tensor<'float32'> {
  return tensor('float32', [1, 1, 2, 2], Float32Array.from(values));
}
