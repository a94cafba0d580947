import { readFile } from 'node:fs/promises';
import { extract, readOnnx, summarize } from '@tierwise/graph';
import { beforeAll, expect, test } from 'vitest';
import { expectedLatency } from './latency.ts';
import { comparePlaces } from './placement.ts';
import { type BranchPlace, branchPlaces } from './places.ts';

const file = new URL('../../../../models/lenet-mnist.tierwise/model.onnx', import.meta.url);
let summary: ReturnType<typeof summarize>;
beforeAll(async () => {
  const model = readOnnx(await readFile(file));
  summary = summarize(extract(model, { inputs: ['pixels'], outputs: ['scores'] }));
});

const options = {
  deviceFlopsPerSecond: 2e9,
  edgeFlopsPerSecond: 20e9,
  binarySpeedup: 10,
  exitRate: 0.9,
  codec: { kind: 'packed', bits: 4, lo: 0, hi: 1 },
} as const;
const link = (mbit: number, roundTripMs: number) => ({
  uplinkBitsPerSecond: mbit * 1e6,
  downlinkBitsPerSecond: mbit * 1e6,
  roundTripMs,
  edge: true,
  resident: [],
});

test("LeNet's places are after each of its layers but the last, with the smallest tensor there", () => {
  const places = branchPlaces(summary);
  expect(places.map(({ dims }) => dims)).toEqual([[20, 12, 12], [800], [500]]);
  expect(places.map(({ layersBefore, layersAfter }) => [layersBefore, layersAfter])).toEqual([
    [1, 3],
    [2, 2],
    [3, 1],
  ]);
  // The committed branch has 63,193 bytes with its stem, header and names.
  expect(places[0]!.branchBytes).toBeGreaterThan(56_000);
  expect(places[0]!.branchBytes).toBeLessThan(63_193);
  expect(places[2]!.binaryFlops).toBe(0);
  for (const place of places) expect(place.headFlops + place.restFlops).toBe(summary.totals.flops);
});

test('the exit rate that a place needs makes it as fast as the first one, or no rate does', () => {
  for (const context of [link(1, 100), link(8, 50), link(100, 5)]) {
    const { places, second } = comparePlaces(summary, options, context);
    const limit = places[0]!.latency.amortizedMs;
    expect(places[0]!.neededExitRate).toBeCloseTo(options.exitRate, 9);
    const at = (exitRate: number) => comparePlaces(summary, { ...options, exitRate }, context).places;
    for (const [i, { neededExitRate, latency }] of places.entries()) {
      if (neededExitRate === undefined) expect(at(1)[i]!.latency.amortizedMs).toBeGreaterThan(limit);
      else if (neededExitRate > 0) expect(at(neededExitRate)[i]!.latency.amortizedMs).toBeCloseTo(limit, 6);
      expect(latency.coldMs).toBeGreaterThan(latency.warmMs);
    }
    for (const { neededExitRate, latency } of second)
      if (neededExitRate !== undefined && neededExitRate <= options.exitRate)
        expect(latency.amortizedMs).toBeLessThanOrEqual(limit + 1e-9);
      else expect(latency.amortizedMs).toBeGreaterThan(limit);
  }
});

test('a later branch has to exit more, because more of it is downloaded; a good link makes sending the picture best', () => {
  const slow = comparePlaces(summary, options, link(1, 100));
  // The second place would fetch 25,000 real weights besides.
  expect(slow.places[1]!.downloadBytes).toBeGreaterThan(slow.places[0]!.downloadBytes);
  expect(slow.places[2]!.neededExitRate ?? 2).toBeGreaterThan(options.exitRate);
  expect(slow.sendPicture.amortizedMs).toBeGreaterThan(slow.places[0]!.latency.amortizedMs);
  const fast = comparePlaces(summary, { ...options, deviceFlopsPerSecond: 1e8 }, link(1000, 0.1));
  expect(fast.sendPicture.amortizedMs).toBeLessThan(fast.places[0]!.latency.amortizedMs);
  expect(fast.wholeOnDevice.warmMs).toBeCloseTo((1000 * summary.totals.flops) / 1e8, 6);
});

test('a known branch counts with its own size and with its stem inside', () => {
  const known = { tensor: branchPlaces(summary)[0]!.tensor, branchBytes: 63_193 };
  const { places } = comparePlaces(summary, { ...options, known }, link(8, 50));
  expect(places[0]!.downloadBytes).toBe(63_193);
  const place: BranchPlace = places[0]!.place;
  expect(places[0]!.latency).toEqual(
    expectedLatency(
      [{ downloadBytes: 63_193, deviceMs: places[0]!.deviceMs, exitRate: 0.9 }],
      { uplinkBytes: 1440, edgeMs: place.restFlops / 2e7, classes: 10 },
      link(8, 50),
    ),
  );
});
