/** Runs the conformance suite in a page and posts what came of it to `/report`. */
import { kernelSource } from '../../src/kernels/choose.ts';
import type { KernelName } from '../../src/kernels/kernels.ts';
import { depthwiseCases, gridCases, randomCase, specialCases } from '../kernels.conformance.ts';

/** What the page posts. */
export interface ConformanceReport {
  /** The implementations that ran, as they call themselves. */
  readonly ran: readonly KernelName[];
  /** Implementations that the browser does not have, or the page forbids. */
  readonly missing: readonly string[];
  readonly passed: number;
  readonly failures: readonly string[];
}

const query = new URLSearchParams(location.search);
/** Names of implementations; `auto` is the one that is chosen without asking. */
const wanted = query.get('kernels')!.split(',') as readonly (KernelName | 'auto')[];
const seeds = Number(query.get('seeds'));
const cases = [
  ...specialCases(),
  ...(query.has('grid') ? [...gridCases(), ...depthwiseCases()] : []),
  ...Array.from({ length: seeds }, (_, seed) => randomCase(seed)),
];

const ran: KernelName[] = [];
const missing: string[] = [];
const failures: string[] = [];
let passed = 0;
for (const name of wanted) {
  const source = await kernelSource(name === 'auto' ? undefined : name).catch((error: Error) => {
    missing.push(`${name}: ${error.name}`);
  });
  if (!source) continue;
  ran.push(source.name);
  for (const one of cases) {
    try {
      await one.run(source);
      passed++;
    } catch (error) {
      failures.push(`${source.name}: ${one.name}: ${error instanceof Error ? error.message : error}`);
    }
  }
}
const report: ConformanceReport = { ran, missing, passed, failures };
await fetch('/report', { method: 'POST', body: JSON.stringify(report) });
