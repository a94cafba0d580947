import { hasRelaxed, prepareProgram, programContestant } from './engine.ts';
import { bytesOf } from './files.ts';
import { offer } from './offer.ts';
import { openOrtWeb, ortWebContestant } from './ort-web.ts';
import { type RaceOptions, type RaceTimes, race } from './race.ts';

/** What the page is asked for. Files: `branch.safetensors`, and `NAME.onnx` of each rival. */
export interface Fig13Input {
  readonly dims: readonly number[];
  /** Name of the branch's scores. */
  readonly output: string;
  readonly rivals: readonly string[];
  readonly race: RaceOptions;
}

offer(async ({ dims, output, rivals, race: options }: Fig13Input): Promise<RaceTimes> => {
  const size = dims.reduce((a, b) => a * b, 1);
  const input = Float32Array.from({ length: size }, (_, i) => (i * 7919) % 256);
  const kernels = (await hasRelaxed()) ? 'relaxed' : 'simd';
  const branch = await prepareProgram(await bytesOf('branch.safetensors'), kernels, output);
  const contestants = [programContestant('branch', branch, input)];
  const sessions = [];
  for (const rival of rivals) {
    const session = await openOrtWeb(await bytesOf(`${rival}.onnx`));
    sessions.push(session);
    contestants.push(ortWebContestant(rival, session, dims, input));
  }
  try {
    return await race(contestants, options);
  } finally {
    for (const session of sessions) await session.release();
  }
});
