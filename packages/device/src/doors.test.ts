import { strategies } from '@tierwise/plan';
import { afterAll, beforeAll, test } from 'vitest';
import { WebSocket } from 'ws';
import { cases, type Door } from '../test/doors.conformance.ts';
import { type Site, startSite } from '../test/site.ts';
import { load } from './load.ts';

let site: Site;
beforeAll(async () => {
  site = await startSite();
});
afterAll(() => site?.stop());

const door: Door = (url, options) => load(url, { ...options, strategies, WebSocket });

test.each(Object.entries(cases))('Node: %s', async (_, run) => {
  await run({ door, site: site.url, edge: async (behaviour) => site.edge(behaviour) });
});
