import { expect, test } from 'vitest';
import { readReply } from './messages.ts';

const response = (parameters: Record<string, string | number | boolean>) => ({
  kind: 'response' as const,
  modelName: '',
  id: '1',
  parameters,
  outputs: new Map(),
});

test('a server that reports no times counts as taking none', () => {
  expect(readReply(response({}))).toEqual({ tensors: new Map(), queueMs: 0, computeMs: 0 });
  expect(readReply(response({ queueMs: 1.5, computeMs: 2 }))).toMatchObject({ queueMs: 1.5, computeMs: 2 });
});

test.each([-1, Number.NaN, 'soon', true])('a time of %s is a corrupt frame', (computeMs) => {
  expect(() => readReply(response({ computeMs }))).toThrow(
    expect.objectContaining({ code: 'FRAME_CORRUPT' }),
  );
});
