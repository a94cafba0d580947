import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { type ErrorCode, errorTable } from './errors.ts';
import { remedies } from './remedies.ts';
import { isTierwiseError, TierwiseError, toTierwiseError } from './tierwise-error.ts';

const codes = Object.keys(errorTable) as ErrorCode[];

test('docs/errors.md has one section for each code, with something in it, and no other', async () => {
  const page = await readFile(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
  const [, ...sections] = page.split(/^### /m);
  const titles = sections.map((section) => section.split('\n', 1)[0]!.trim());
  expect([...titles].sort()).toEqual([...codes].sort());
  for (const section of sections) expect(section.split('\n').slice(1).join(' ').length).toBeGreaterThan(150);
});

test.each(codes)('%s has a valid status and a remedy that is a sentence', (code) => {
  const { status } = errorTable[code];
  expect(status).toBeGreaterThanOrEqual(400);
  expect(status).toBeLessThan(600);
  expect(remedies[code]).toMatch(/^[A-Z].*\.$/);
  expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
});

test('an error keeps its operands and its cause', () => {
  const cause = new Error('disk');
  const error = new TierwiseError('FILE_UNREADABLE', 'a.onnx', { file: 'a.onnx' }, { cause });
  expect(error).toMatchObject({
    name: 'TierwiseError',
    message: 'a.onnx',
    details: { file: 'a.onnx' },
    cause,
  });
  expect(isTierwiseError(error)).toBe(true);
  expect(isTierwiseError(error, 'FILE_UNREADABLE')).toBe(true);
  expect(isTierwiseError(error, 'TIMEOUT')).toBe(false);
  expect(isTierwiseError(cause)).toBe(false);
});

test('whatever was thrown becomes one TierwiseError', () => {
  const own = new TierwiseError('OVERLOADED', 'full');
  expect(toTierwiseError(own)).toBe(own);
  expect(toTierwiseError(new DOMException('stop', 'AbortError')).code).toBe('CANCELLED');
  expect(toTierwiseError(new DOMException('late', 'TimeoutError')).code).toBe('TIMEOUT');
  const fault = new RangeError('offset');
  expect(toTierwiseError(fault)).toMatchObject({
    code: 'INTERNAL',
    message: 'internal: offset',
    cause: fault,
  });
  expect(toTierwiseError('text')).toMatchObject({ code: 'INTERNAL', message: 'internal: text' });
});
