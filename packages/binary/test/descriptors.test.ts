import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { descriptors } from '../src/kernels/descriptors.ts';

test('records are the same in TypeScript and in AssemblyScript', async () => {
  const source = await readFile(new URL('../assembly/descriptors.ts', import.meta.url), 'utf8');
  const classes = [...source.matchAll(/class (\w+) \{([^}]*)\}/g)].map(([, name, body]) => [
    name![0]!.toLowerCase() + name!.slice(1),
    [...body!.matchAll(/(\w+): (?:usize|i32);/g)].map(([, field]) => field),
  ]);
  expect(Object.fromEntries(classes)).toEqual(descriptors);
});
