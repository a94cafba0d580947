import { TierwiseError, toTierwiseError } from '@tierwise/core';
import { readBundle } from '@tierwise/edge';
import { type Plan, type StrategyName, strategies } from '@tierwise/plan';
import type { Command } from 'commander';
import { handle } from '../handle.ts';
import { linkContext, linkNames } from '../link.ts';
import { bytesText, type Terminal, table } from '../terminal.ts';
import { real } from '../values.ts';

interface PlanFlags {
  readonly strategy?: string;
  readonly link: string;
  readonly deviceGflops: number;
  readonly edgeGflops: number;
  readonly rawInput: boolean;
}

/** `tierwise plan`: the Plans that the strategies make of a bundle on a link, and what each predicts for one sample. */
async function planCommand(bundle: string, flags: PlanFlags, terminal: Terminal): Promise<void> {
  const context = linkContext(flags.link);
  if (flags.strategy !== undefined && !Object.hasOwn(strategies, flags.strategy))
    throw new TierwiseError(
      'USAGE',
      `--strategy: there is no "${flags.strategy}"; there are ${Object.keys(strategies).join(', ')}`,
    );
  const { manifest } = await readBundle(bundle);
  const names =
    flags.strategy === undefined
      ? (Object.keys(strategies) as StrategyName[])
      : [flags.strategy as StrategyName];
  const profile = {
    deviceFlopsPerSecond: flags.deviceGflops * 1e9,
    edgeFlopsPerSecond: flags.edgeGflops * 1e9,
    exitRate: manifest.measured?.exitRate,
  };
  const plans: Plan[] = [];
  for (const name of names) {
    try {
      plans.push(
        strategies[name](manifest, profile, context, {
          objective: 'latency',
          rawInputMayLeave: flags.rawInput,
        }).plan,
      );
    } catch (error) {
      // One strategy that the requirement rules out does not hide the others.
      if (names.length === 1) throw error;
      terminal.note(`${name}: ${toTierwiseError(error).message}`);
    }
  }
  terminal.result({ link: flags.link, plans }, () => text(plans, flags, context.downlinkBitsPerSecond));
}

function text(plans: readonly Plan[], flags: PlanFlags, downlinkBitsPerSecond: number): string {
  const rows = plans.map(({ strategy, sections, exits, predicted: p }) => [
    strategy,
    sections.map(({ id, place, engine }) => `${id} (${engine}, ${place})`).join(' -> '),
    exits
      .map(({ id, policy }) =>
        policy.kind === 'entropy' ? `${id} below ${policy.threshold.toPrecision(3)}` : id,
      )
      .join(', '),
    p.latencyMs.toFixed(1),
    bytesText(Math.round((1 - p.exitRate) * p.uplinkBytes)),
    `${bytesText(p.downloadBytes)} in ${((8000 * p.downloadBytes) / downlinkBitsPerSecond).toFixed(0)} ms`,
  ]);
  return [
    `Predicted for one warm sample on ${flags.link}, ${flags.deviceGflops} GFLOP/s on the device and ${flags.edgeGflops} on the edge; nothing is measured here.`,
    table([['strategy', 'sections', 'exits', 'ms', 'bytes up', 'first download'], ...rows]),
  ].join('\n');
}

/** Adds `tierwise plan` and its options. */
export function addPlan(program: Command): void {
  program
    .command('plan')
    .description('the Plan that each strategy makes of a bundle, and what it predicts')
    .argument('<bundle>', 'NAME.tierwise')
    .option('--strategy <name>', `one of: ${Object.keys(strategies).join(', ')}; default all of them`)
    .option('--link <name>', `one of: ${linkNames.join(', ')}`, 'fast-4g')
    .option('--device-gflops <x>', 'speed of the device, multiply and add counted apart', real(0.001, 1e6), 2)
    .option('--edge-gflops <x>', 'speed of the edge', real(0.001, 1e6), 20)
    .option('--raw-input', 'the picture itself may leave the device', false)
    .option('--json', 'print one JSON object')
    .action(handle((terminal, bundle: string, flags: PlanFlags) => planCommand(bundle, flags, terminal)));
}
