import { TierwiseError } from '@tierwise/core';
import { encodedBytes, predict } from '../cost.ts';
import { devicePlace, edgePlace, inputCodec, planId, type Strategy, wholeNetwork } from '../strategy.ts';

/**
 * The input goes to the edge, which runs the whole network: nothing is fetched, and the picture leaves the device.
 * @throws TierwiseError PLAN_INVALID when the picture may not leave, or when there is no edge
 */
export const edgeOnly: Strategy = (model, profile, context, requirement) => {
  if (!requirement.rawInputMayLeave) {
    throw new TierwiseError(
      'PLAN_INVALID',
      'edge-only sends the picture itself, and the requirement forbids that',
      {
        strategy: 'edge-only',
        requirement: 'rawInputMayLeave',
      },
    );
  }
  if (!context.edge) {
    throw new TierwiseError('PLAN_INVALID', 'edge-only needs an edge, and none can be reached', {
      strategy: 'edge-only',
      context: 'edge',
    });
  }
  const section = wholeNetwork(model, edgePlace);
  const codec = inputCodec(model);
  return {
    plan: {
      id: planId('edge-only', model),
      strategy: 'edge-only',
      places: [devicePlace, edgePlace],
      sections: [section],
      links: [
        {
          from: 'input',
          to: section.id,
          tensors: [model.input.tensor],
          codec,
          when: { kind: 'always' },
        },
      ],
      exits: [{ id: 'main', section: section.id, scores: model.main.scores.tensor, policy: { kind: 'end' } }],
      predicted: predict(
        {
          deviceFlops: 0,
          edgeFlops: model.flops.stem + model.flops.rest,
          uplinkBytes: encodedBytes(model.input, codec),
          classes: model.labels.length,
          exitRate: 0,
          downloadBytes: 0,
        },
        profile,
        context,
      ),
    },
    wants: [],
  };
};
