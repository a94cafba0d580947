import { branchScores, energies, rejectionThreshold, rewriteManifest } from '@tierwise/train';
import { type Command, Option } from 'commander';
import { type MeasureFlags, openBundle } from '../bundle.ts';
import { dataHelp } from '../data.ts';
import { handle, untilCtrlC } from '../handle.ts';
import { percent, type Terminal } from '../terminal.ts';
import { whole } from '../values.ts';
import { chooseSamples, sampleChoices, type ThresholdFlags, warnings } from './threshold.ts';

type RejectionFlags = MeasureFlags & Pick<ThresholdFlags, 'samples' | 'write'>;

/** `tierwise rejection`: the energy below which a picture is none of these, and its writing into the bundle. */
async function rejectionCommand(
  bundle: string,
  flags: RejectionFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  await using opened = await openBundle(bundle, flags, terminal, signal);
  const { manifest, composite } = opened;
  const data = chooseSamples(manifest, opened.data, flags, bundle);
  const doubts = warnings(flags.samples);
  for (const doubt of doubts) terminal.note(`Warning: ${doubt}`);
  terminal.progress(`${flags.samples} samples: ${data.samples}`);
  const chosen = rejectionThreshold(
    energies(await branchScores(composite, data, signal), data.classes.length),
  );
  const { rejection: inBundle } = manifest;
  if (flags.write) await rewriteManifest(bundle, { ...manifest, rejection: chosen });
  terminal.result(
    {
      bundle,
      data: data.name,
      samples: { from: flags.samples, count: data.samples },
      inBundle,
      chosen,
      written: flags.write,
      warnings: [...doubts, ...opened.data.warnings.map(({ message }) => message)],
    },
    () => {
      const energy = chosen.energy.toPrecision(4);
      return [
        `none of these: below an energy of ${energy}, as ${percent(chosen.knownRejected)} of ${data.samples.toLocaleString('en')} ${flags.samples} samples of ${data.name} are (in the bundle: ${inBundle?.energy.toPrecision(4) ?? 'none'})`,
        flags.write
          ? `${energy} is now in the manifest of ${bundle}; tierwise eval --strangers measures what it does.`
          : 'Nothing is changed; --write puts it into the bundle.',
      ].join('\n');
    },
  );
}

/** Adds `tierwise rejection` and its options. */
export function addRejection(program: Command): void {
  program
    .command('rejection')
    .description(
      'choose below which energy of its scores the branch tells a picture to be none of the classes',
    )
    .argument('<bundle>', 'NAME.tierwise')
    .requiredOption('--data <name|folder>', dataHelp)
    .addOption(
      new Option(
        '--samples <which>',
        'of the data, 5 % of which will be below the energy: those that the training held back, its training half, or the test set (only to look at)',
      )
        .choices(sampleChoices)
        .default('held-back'),
    )
    .option('--write', 'store the energy in the bundle', false)
    .option('--threads <n>', 'default: one per core, at most 4', whole(1))
    .option('--json', 'print one JSON object')
    .action(
      handle((terminal, bundle: string, flags: RejectionFlags) =>
        rejectionCommand(bundle, flags, terminal, untilCtrlC()),
      ),
    );
}
