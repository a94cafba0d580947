import { availableParallelism } from 'node:os';
import { TierwiseError } from '@tierwise/core';
import { readBundle } from '@tierwise/edge';
import type { Artifact } from '@tierwise/plan';
import { type Evaluation, evaluate, openComposite } from '@tierwise/train';
import { loadData } from '../data.ts';
import { bytesText, percent, type Terminal, table } from '../terminal.ts';

/** `tierwise eval`: the composite as deployed, over every test sample. */
export async function evalCommand(
  bundle: string,
  flags: { readonly data: string; readonly threads?: number },
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const { manifest, artifacts } = await readBundle(bundle);
  const bytesOf = (wanted: Artifact) => artifacts.find(({ artifact }) => artifact === wanted)!.bytes;
  const [, channels, height, width] = manifest.input.dims as [number, 1 | 3, number, number];
  const data = await loadData(flags.data, { channels, height, width }, terminal, signal);
  if (
    data.test.channels !== channels ||
    data.test.height !== height ||
    data.test.width !== width ||
    data.test.classes.length !== manifest.labels.length
  )
    throw new TierwiseError(
      'USAGE',
      `${bundle} takes ${width} x ${height} x ${channels} pictures of ${manifest.labels.length} classes; ${flags.data} has ${data.test.width} x ${data.test.height} x ${data.test.channels} of ${data.test.classes.length}`,
    );
  await using composite = await openComposite({
    model: bytesOf(manifest.main.artifact),
    branch: bytesOf(manifest.branch.artifact),
    ports: {
      input: manifest.input,
      stem: manifest.stem,
      main: manifest.main.scores.tensor,
      branch: manifest.branch.scores.tensor,
    },
    threads: flags.threads ?? Math.min(4, availableParallelism()),
  });
  const evaluation = await evaluate(composite, manifest, data.test, {
    signal,
    onProgress: (p) => terminal.progress(`branch: ${p.done} of ${p.samples} samples`),
  });
  terminal.result({ ...evaluation, warnings: data.warnings }, () => evaluationText(evaluation));
}

export function evaluationText({ main, branch, composite, test }: Evaluation): string {
  return [
    `${test.data}, ${test.samples.toLocaleString('en')} test samples`,
    table([
      ['main', percent(main.accuracy), bytesText(main.bytes)],
      ['branch', percent(branch.accuracy), bytesText(branch.bytes)],
      [
        'composite',
        percent(composite.accuracy),
        `${percent(composite.exitRate)} exit on the device below an entropy of ${composite.threshold.toPrecision(3)}`,
      ],
    ]),
    `the others send their stem, ${composite.codec}: ${Math.round(composite.payloadBytes)} bytes on average`,
  ].join('\n');
}
