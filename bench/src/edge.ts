import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TierwiseError } from '@tierwise/core';
import { chooseCases } from './cases.ts';
import { machineConditions } from './conditions.ts';
import { digitsBundle, openDigits } from './digits.ts';
import { openBound, type Part } from './edge-bound.ts';
import type { ClientAnswer, Form, OpenMessage, TurnMessage } from './edge-client.ts';
import { questionsFor, type Sends } from './edge-questions.ts';
import type { BenchOptions } from './options.ts';
import { type Program, startProgram } from './processes.ts';
import type { BenchResult, BenchRow } from './result.ts';
import { repository } from './runs.ts';
import { median, quantile, significant } from './statistics.ts';

/** Who is asked, in what words, and with what. */
interface Contestant {
  readonly name: string;
  readonly server: 'edge' | 'unbatched' | 'naive';
  readonly form: Form;
  readonly sends: Sends;
}

const contestants: readonly Contestant[] = [
  { name: 'frames', server: 'edge', form: 'frame', sends: 'packedStem' },
  { name: 'unbatched', server: 'unbatched', form: 'frame', sends: 'packedStem' },
  { name: 'pixels', server: 'edge', form: 'frame', sends: 'packedPixels' },
  { name: 'http', server: 'edge', form: 'protocol', sends: 'floatPixels' },
  { name: 'json', server: 'edge', form: 'protocol', sends: 'jsonPixels' },
  { name: 'naive', server: 'naive', form: 'plain', sends: 'plainPixels' },
];

/** Each contestant with one request under way, and with one on each of 64 connections. */
export const edgeCases = contestants.flatMap((contestant) =>
  [1, 64].map((underWay) => ({ ...contestant, name: `${contestant.name}-${underWay}`, underWay })),
);
type EdgeCase = (typeof edgeCases)[number];

const rounds = 10;
const turnMs = 400;
const maxBatch = 32;
const questionCount = 16;

/** One turn of a case: answers a second, and how long each took. */
interface Taken {
  readonly perSecond: number;
  readonly latenciesMs: Float64Array;
}

/**
 * `tierwise bench edge`: a real edge under load from a client in another process, in turn with a naive server and with
 * ONNX Runtime alone on the same network, which is what a worker of the edge could at best do.
 */
export async function benchEdge(options: BenchOptions): Promise<BenchResult> {
  const { signal, onProgress } = options;
  const cases = chooseCases(edgeCases, options.cases);
  onProgress('starting the servers');
  const digits = await openDigits(questionCount, signal);
  await using edge = startEdge(['--max-batch', String(maxBatch)], signal);
  await using unbatched = startEdge(['--max-batch', '1'], signal);
  await using naive = startProgram(built('naive-server.js'), [join(digitsBundle, 'model.onnx')], signal);
  await using client = startProgram(built('edge-client.js'), [], signal);
  await using bound = await openBound(digits);
  const urls = {
    edge: (await edge.said()).url,
    unbatched: (await unbatched.said()).url,
    naive: (await naive.said()).url,
  };
  const tell = async (message: OpenMessage | TurnMessage): Promise<ClientAnswer> => {
    const servers = [edge, unbatched, naive].map(({ ended }) => ended);
    const answer = await Promise.race([client.ask<ClientAnswer>(message), ...servers]);
    if (answer.error === undefined) return answer;
    throw new TierwiseError('INTERNAL', `internal: the client of ${message.name}: ${answer.error}`);
  };
  for (const { name, form, sends, server, underWay } of cases) {
    const questions = questionsFor(sends, digits);
    await tell({ kind: 'open', name, form, url: urls[server], connections: underWay, questions });
  }

  const taken = new Map(cases.map(({ name }) => [name, [] as Taken[]]));
  const bounds = new Map(
    cases.map((one) => [boundOf(one).name, { ...boundOf(one), perSecond: [] as number[] }]),
  );
  const count = options.runs ?? rounds;
  // The first round warms up.
  for (let round = 0; round <= count; round++) {
    for (const { part, batch, perSecond } of bounds.values()) {
      const reached = await bound.turn(part, batch, turnMs);
      if (round > 0) perSecond.push(reached);
    }
    for (const one of cases) {
      signal.throwIfAborted();
      onProgress(`${one.name}, round ${round} of ${count}`);
      const { turn } = await tell({ kind: 'turn', name: one.name, ms: turnMs });
      const { elapsedMs, latenciesMs, scores } = turn!;
      bound.check(boundOf(one).part, scores, one.name);
      if (round > 0)
        taken.get(one.name)!.push({ perSecond: (1000 * latenciesMs.length) / elapsedMs, latenciesMs });
    }
  }
  return {
    bench: 'edge',
    conditions: {
      ...machineConditions(),
      network: `LeNet (lenet-mnist): ${digits.source}`,
      edge: `tierwise edge --workers 1 on loopback, one more with --max-batch 1; server, worker and client share the cores`,
      client: 'one process; -1: one connection, -64: as many connections, each with one request under way',
      runs: `all in turn, ${count} turns of ${turnMs} ms each; answersPerSecond and ratios are medians, percentiles over all answers`,
      frames: `the stem's output, packed, over WebSockets, with a key and a deadline as pages send it; pixels: the picture, 8 bits`,
      http: 'Open Inference Protocol over HTTP/1.1, keep-alive: float32 in binary, or JSON',
      naive: 'node:http, JSON and onnxruntime-node, one thread, no batches',
      bound: `ofBound: of ONNX Runtime alone on the same network, one thread, with the other core idle; one sample a run for one under way, naive and unbatched, else ${maxBatch}`,
    },
    rows: cases.map((one) => rowOf(one, taken, bounds.get(boundOf(one).name)!.perSecond)),
  };
}

/** What ONNX Runtime alone has to do to be compared with. */
function boundOf({ sends, server, underWay }: EdgeCase) {
  const part: Part = sends === 'packedStem' ? 'rest' : 'whole';
  const batch = server === 'edge' && underWay > 1 ? maxBatch : 1;
  return { part, batch, name: `${part} ${batch}` };
}

function rowOf(
  one: EdgeCase,
  taken: ReadonlyMap<string, readonly Taken[]>,
  bound: readonly number[],
): BenchRow {
  const own = taken.get(one.name)!;
  /** How many times as many answers as another contestant with as many under way, if that is there. */
  const versus = (other: string, metric: string) => {
    const theirs = taken.get(`${other}-${one.underWay}`);
    if (theirs === undefined || theirs === own) return {};
    return { [metric]: median(own.map(({ perSecond }, i) => perSecond / theirs[i]!.perSecond)) };
  };
  const latencies = own.flatMap(({ latenciesMs }) => [...latenciesMs]);
  const metrics = {
    answersPerSecond: median(own.map(({ perSecond }) => perSecond)),
    p50Ms: quantile(latencies, 0.5),
    p95Ms: quantile(latencies, 0.95),
    p99Ms: quantile(latencies, 0.99),
    ofBound: median(own.map(({ perSecond }, i) => perSecond / bound[i]!)),
    ...versus('naive', 'vsNaive'),
    ...(one.sends === 'packedStem' ? versus('unbatched', 'vsUnbatched') : {}),
  };
  return {
    case: one.name,
    metrics: Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, significant(value)])),
  };
}

/** An edge as its users start it, with one worker, as many threads as the naive server has. */
function startEdge(args: readonly string[], signal: AbortSignal): Program {
  const models = ['--models', dirname(digitsBundle), '--keep-days', '0'];
  return startProgram(
    join(repository, 'packages/cli/dist/main.js'),
    ['edge', ...models, '--port', '0', '--workers', '1', '--json', ...args],
    signal,
  );
}

/** A program of this room, from `src` as from `dist`. */
function built(file: string): string {
  return fileURLToPath(new URL(`../dist/${file}`, import.meta.url));
}
