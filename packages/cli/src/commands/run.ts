import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { TierwiseError } from '@tierwise/core';
import { readPicture } from '@tierwise/data';
import { type Answer, load, type SocketConstructor } from '@tierwise/device/main';
import { onnxEngine } from '@tierwise/ort';
import { strategies } from '@tierwise/plan';
import type { Command } from 'commander';
import { WebSocket } from 'ws';
import { readBytes } from '../files.ts';
import { handle, untilCtrlC } from '../handle.ts';
import { bytesText, percent, type Terminal, table } from '../terminal.ts';
import { real } from '../values.ts';

interface RunFlags {
  readonly edge?: string;
  readonly strategy: string;
  readonly threshold?: number;
}

/** `tierwise run`: this machine is the device; the pictures are classified one after the other. */
async function runCommand(
  bundle: string,
  images: readonly string[],
  flags: RunFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  if (!Object.hasOwn(strategies, flags.strategy))
    throw new TierwiseError(
      'USAGE',
      `--strategy: there is no "${flags.strategy}"; there are ${Object.keys(strategies).join(', ')}`,
    );
  const remote = /^https?:/.test(bundle);
  await using composite = await load(remote ? bundle : pathToFileURL(`${resolve(bundle)}/`), {
    signal,
    strategy: flags.strategy,
    strategies,
    engines: [onnxEngine({ threads: 1, workers: 1 })],
    edge: flags.edge === undefined ? remote : streamAddress(flags.edge),
    rawInputMayLeave: flags.strategy === 'edge-only',
    fetch: remote ? fetch : fetchFile,
    WebSocket: WebSocket as unknown as SocketConstructor,
    onProgress: (p) =>
      terminal.progress(`${p.file}: ${bytesText(p.loadedBytes)} of ${bytesText(p.totalBytes)}`),
  });
  const answers: (Pick<Answer, 'label' | 'tier' | 'exit' | 'entropy' | 'familiar'> &
    Record<string, unknown>)[] = [];
  for (const image of images) {
    const answer = await composite.classify(await readPicture(image), {
      signal,
      ...(flags.threshold === undefined ? {} : { threshold: flags.threshold }),
    });
    const { probabilities, ...rest } = answer;
    answers.push({ image, probability: probabilities[answer.classIndex], ...rest });
  }
  terminal.result({ model: composite.manifest.name, strategy: composite.plan.strategy, answers }, () =>
    table([
      ['image', 'label', 'sure', 'familiar', 'tier', 'entropy', 'ms', 'sent'],
      ...answers.map((a) => [
        String(a['image']),
        a.label,
        percent(Number(a['probability'])),
        a.familiar === undefined ? '-' : a.familiar ? 'yes' : 'no',
        a['degraded'] ? `${a.tier} (degraded: ${(a['degraded'] as { code: string }).code})` : a.tier,
        a.entropy.toPrecision(3),
        Number(a['totalMs']).toFixed(1),
        bytesText((a['sent'] as { bytes: number } | undefined)?.bytes ?? 0),
      ]),
    ]),
  );
}

/** An edge is named by its address; its stream is at a path that the Open Inference Protocol leaves free. */
function streamAddress(edge: string): string {
  if (!URL.canParse(edge))
    throw new TierwiseError('USAGE', `--edge must be an address like http://127.0.0.1:8700, not "${edge}"`);
  const url = new URL(edge);
  if (url.pathname === '/') url.pathname = '/v2/stream';
  return url.href;
}

/** What a page's fetch is to a server this is to a folder. */
const fetchFile: typeof fetch = async (input, init) => {
  init?.signal?.throwIfAborted();
  const url = new URL(input instanceof Request ? input.url : input);
  return new Response(await readBytes(fileURLToPath(url)));
};

/** Adds `tierwise run` and its options. */
export function addRun(program: Command): void {
  program
    .command('run')
    .description('classify pictures with this machine as the device')
    .argument('<bundle>', 'NAME.tierwise, or the address of one that an edge serves')
    .argument('<image...>', 'PNG, JPEG, WebP, ...')
    .option('--edge <url>', 'where unsure pictures are finished')
    .option('--strategy <name>', 'lcdnn, device-only or edge-only', 'lcdnn')
    .option(
      '--threshold <x>',
      "entropy below which the device answers, instead of the bundle's",
      real(0, 1.01),
    )
    .option('--json', 'print one JSON object')
    .action(
      handle((terminal, bundle: string, images: string[], flags: RunFlags) =>
        runCommand(bundle, images, flags, terminal, untilCtrlC()),
      ),
    );
}
