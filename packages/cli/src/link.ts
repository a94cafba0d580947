import { TierwiseError } from '@tierwise/core';
import type { Context } from '@tierwise/plan';
import { type LinkProfileName, linkProfiles } from '@tierwise/relay';

/** What `--link` takes. */
export const linkNames = Object.keys(linkProfiles);

/**
 * What holds on a link of that name with an edge behind it and nothing on the device yet.
 * @throws TierwiseError USAGE for a name that is not there
 */
export function linkContext(name: string): Context {
  if (!Object.hasOwn(linkProfiles, name))
    throw new TierwiseError('USAGE', `--link: there is no "${name}"; there are ${linkNames.join(', ')}`);
  const { up, down } = linkProfiles[name as LinkProfileName];
  return {
    uplinkBitsPerSecond: up.bitsPerSecond,
    downlinkBitsPerSecond: down.bitsPerSecond,
    roundTripMs: up.delayMs + down.delayMs,
    edge: true,
    resident: [],
  };
}
