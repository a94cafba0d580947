import { TierwiseError } from '@tierwise/core';
import { alexnet } from './alexnet.ts';
import { lenet, lenetNarrow, lenetSmall } from './lenet.ts';
import { mobilenetV2 } from './mobilenet-v2.ts';
import type { Network } from './network.ts';
import { resnet18 } from './resnet18.ts';
import { vgg16 } from './vgg16.ts';

export { mirrorOf, type Network } from './network.ts';

const colour32 = { channels: 3, height: 32, width: 32 } as const;

/** Networks by the name that `tierwise train --network` takes. */
export const networks: Readonly<Record<string, Network>> = {
  lenet,
  'lenet-small': lenetSmall,
  'lenet-narrow': lenetNarrow,
  alexnet,
  resnet18,
  vgg16,
  'mobilenet-v2': mobilenetV2('mobilenet-v2', 1, colour32),
  'mobilenet-v2-0.25': mobilenetV2('mobilenet-v2-0.25', 0.25, colour32),
};

/** @throws TierwiseError USAGE for a name that is not there */
export function findNetwork(name: string): Network {
  const network = Object.hasOwn(networks, name) ? networks[name] : undefined;
  if (!network)
    throw new TierwiseError(
      'USAGE',
      `there is no network "${name}"; there are: ${Object.keys(networks).join(', ')}`,
      { name },
    );
  return network;
}
