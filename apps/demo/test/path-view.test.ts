import type { Answer } from '@tierwise/device';
import { expect, test } from 'vitest';
import { comparison, pathRows, sentSentence } from '../src/path-view.ts';

const places = [
  { id: 'device', tier: 'device' as const },
  { id: 'edge', tier: 'edge' as const },
];

type PathStep = Answer['path'][number];

function step(place: string, values: Partial<PathStep>): PathStep {
  return {
    place,
    section: place,
    queueMs: 0,
    computeMs: 0,
    uplinkBytes: 0,
    downlinkBytes: 0,
    linkMs: 0,
    ...values,
  };
}

const here = step('device', { computeMs: 2 });
const there = step('edge', { queueMs: 0.5, computeMs: 3, linkMs: 12, uplinkBytes: 900, downlinkBytes: 200 });

test('the rows add up to the total', () => {
  const rows = pathRows({ path: [here, there], totalMs: 19 }, places);
  expect(rows.map(({ ms }) => ms)).toEqual([2, 12, 0.5, 3, 1.5]);
  expect(rows[1]).toMatchObject({ uplinkBytes: 900, downlinkBytes: 200 });
});

test('steps that did not take place are not shown as zero', () => {
  const rows = pathRows({ path: [here], totalMs: 2.5 }, places);
  expect(rows.map(({ ms }) => ms)).toEqual([2, undefined, undefined, undefined, 0.5]);
  expect(rows[1].uplinkBytes).toBeUndefined();
});

test('the comparison says so when the picture itself would have been smaller', () => {
  const plain = (text: string) => text.replaceAll('\u00a0', ' ');
  expect(plain(comparison(1000, 444))).toContain('556 B less');
  expect(plain(comparison(300, 400))).toContain('25 % more');
  expect(plain(comparison(0, 400))).toContain('did not have to be sent');
  expect(plain(comparison(400, 400))).toContain('the same');
});

test('what left the device is named for what it is', () => {
  expect(sentSentence({ path: [here] }, false)).toBe('Nothing left this device.');
  const sent = { tensor: 'stem', dims: [1, 20, 12, 12], bytes: 700, rawBytes: 11_520 };
  expect(sentSentence({ path: [here, there], sent }, false)).toContain('can still reveal the drawing');
  expect(sentSentence({ path: [there], sent }, true)).toContain('the picture itself');
});
