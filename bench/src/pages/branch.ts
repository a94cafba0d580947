import { hasRelaxed, type Prepared, prepareProgram, programContestant } from './engine.ts';
import { bytesOf } from './files.ts';
import { offer } from './offer.ts';
import { openOrtWeb, ortWebContestant } from './ort-web.ts';
import { type Contestant, type RaceOptions, type RaceTimes, race } from './race.ts';

/** What the page is asked for: one network. Its files are below its name. */
export interface BranchInput {
  readonly name: string;
  readonly dims: readonly number[];
  /** Name of the branch's scores. */
  readonly output: string;
  readonly race: RaceOptions;
}

offer(async ({ name, dims, output, race: options }: BranchInput): Promise<RaceTimes> => {
  const size = dims.reduce((a, b) => a * b, 1);
  const input = Float32Array.from({ length: size }, (_, i) => (i * 7919) % 256);
  const program = await bytesOf(`${name}/branch.safetensors`);
  const plain = await prepareProgram(program, 'simd', output);
  const contestants: Contestant[] = [programContestant('simd', plain, input)];
  if (await hasRelaxed()) {
    const relaxed = await prepareProgram(program, 'relaxed', output);
    checkSame(plain, relaxed, input);
    contestants.push(programContestant('relaxed', relaxed, input));
  }
  const sessions = [];
  for (const [rival, file] of [
    ['ortWeb', 'fp32.onnx'],
    ['ortWebInt8', 'int8.onnx'],
  ] as const) {
    const session = await openOrtWeb(await bytesOf(`${name}/${file}`));
    sessions.push(session);
    contestants.push(ortWebContestant(rival, session, dims, input));
  }
  try {
    return await race(contestants, options);
  } finally {
    for (const session of sessions) await session.release();
  }
});

/** Both give the same scores, but for the rounding of the last layers, which relaxed SIMD may fuse. */
function checkSame(a: Prepared, b: Prepared, input: Float32Array): void {
  const [x, y] = [a, b].map(({ executor }) => {
    executor.run(input);
    return executor.outputs[0]!;
  });
  const most = x!.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  if (!x!.every((value, i) => Math.abs(value - y![i]!) <= 1e-3 * most))
    throw new Error(`relaxed SIMD gives ${y} instead of ${x}`);
}
