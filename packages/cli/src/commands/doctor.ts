import { access } from 'node:fs/promises';
import { arch, availableParallelism, cpus, homedir, platform, totalmem } from 'node:os';
import { join } from 'node:path';
import { tensor, toTierwiseError } from '@tierwise/core';
import { datasetNames } from '@tierwise/data';
import { GraphBuilder, writeOnnx } from '@tierwise/graph';
import { openSession } from '@tierwise/ort';
import type { Command } from 'commander';
import { findChrome } from '../chrome.ts';
import { handle } from '../handle.ts';
import { type Terminal, table } from '../terminal.ts';

interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly found: string;
  /** What cannot be done without it. */
  readonly needed: string;
}

/** `tierwise doctor`: what this machine has and lacks. Each check tries the thing, not its version number. */
async function doctorCommand(terminal: Terminal): Promise<void> {
  const [major, minor] = process.versions.node.split('.').map(Number) as [number, number];
  const checks: Check[] = [
    {
      name: 'node',
      ok: major > 20 || (major === 20 && minor >= 19),
      found: process.version,
      needed: 'everything (>= 20.19)',
    },
    {
      name: 'machine',
      ok: true,
      found: `${platform()} ${arch()}, ${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${availableParallelism()} threads, ${Math.round(totalmem() / 2 ** 30)} GiB`,
      needed: 'speed',
    },
    await onnxRuntime(),
    {
      name: 'wasm simd',
      ok: WebAssembly.validate(simdModule),
      found: WebAssembly.validate(simdModule) ? 'yes' : 'no',
      needed: 'the fast branch engine',
    },
    chrome(),
    ...(await Promise.all(datasetNames.map(dataset))),
  ];
  const ok = checks.every((check) => check.ok);
  terminal.result({ ok, checks }, () =>
    table(
      checks.map((check) => [
        check.ok ? 'ok' : 'MISSING',
        check.name,
        check.found,
        check.ok ? '' : `needed for ${check.needed}`,
      ]),
    ),
  );
}

/** (module (func (result v128) (i8x16.popcnt (v128.const 0)))) */
const simdModule = Uint8Array.of(
  0,
  97,
  115,
  109,
  1,
  0,
  0,
  0,
  1,
  5,
  1,
  96,
  0,
  1,
  123,
  3,
  2,
  1,
  0,
  10,
  24,
  1,
  22,
  0,
  253,
  12,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  253,
  98,
  11,
);

async function onnxRuntime(): Promise<Check> {
  const needed = 'training, evaluating and the edge';
  try {
    const b = new GraphBuilder('doctor');
    b.output(b.add(b.input('x', 'float32', [1]), b.scalar(1)), 'float32', [1], 'y');
    const session = await openSession(writeOnnx(b.model));
    const y = (await session.run({ x: tensor('float32', [1], Float32Array.of(41)) })).get('y')!.data[0];
    await session.dispose();
    return { name: 'onnxruntime', ok: y === 42, found: y === 42 ? 'runs' : `computes 41 + 1 = ${y}`, needed };
  } catch (error) {
    return { name: 'onnxruntime', ok: false, found: toTierwiseError(error).message, needed };
  }
}

function chrome(): Check {
  const path = findChrome();
  return {
    name: 'browser',
    ok: path !== undefined,
    found: path ?? 'no Chrome or Chromium found; set CHROME_PATH',
    needed: 'browser tests and benchmarks',
  };
}

async function dataset(name: string): Promise<Check> {
  const places = [
    process.env['TIERWISE_DATA'],
    join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tierwise'),
  ].flatMap((folder) => (folder ? [join(folder, name)] : []));
  for (const place of places) {
    if (
      await access(place).then(
        () => true,
        () => false,
      )
    )
      return { name: `data ${name}`, ok: true, found: place, needed: '' };
  }
  const found =
    name === 'cifar-10' ? 'not here; to be unpacked by hand' : 'not here; downloaded on first use';
  return { name: `data ${name}`, ok: true, found, needed: '' };
}

/** Adds `tierwise doctor` and its options. */
export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('say what this machine has and lacks')
    .option('--json', 'print one JSON object')
    .action(handle((terminal) => doctorCommand(terminal)));
}
