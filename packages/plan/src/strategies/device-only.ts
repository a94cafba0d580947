import { predict } from '../cost.ts';
import { devicePlace, planId, type Strategy, wanted, wholeNetwork } from '../strategy.ts';

/** The whole network on the device: nothing is sent, and all its weights are fetched first. */
export const deviceOnly: Strategy = (model, profile, context) => {
  const section = wholeNetwork(model, devicePlace);
  const wants = wanted(model.main.artifact, context);
  return {
    plan: {
      id: planId('device-only', model),
      strategy: 'device-only',
      places: [devicePlace],
      sections: [section],
      links: [
        {
          from: 'input',
          to: section.id,
          tensors: [model.input.tensor],
          codec: { kind: 'raw' },
          when: { kind: 'always' },
        },
      ],
      exits: [{ id: 'main', section: section.id, scores: model.main.scores.tensor, policy: { kind: 'end' } }],
      predicted: predict(
        {
          deviceFlops: model.flops.stem + model.flops.rest,
          edgeFlops: 0,
          uplinkBytes: 0,
          classes: model.labels.length,
          exitRate: 1,
          downloadBytes: wants.reduce((sum, want) => sum + want.artifact.bytes, 0),
        },
        profile,
        context,
      ),
    },
    wants,
  };
};
