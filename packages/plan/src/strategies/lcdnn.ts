import { encodedBytes, predict } from '../cost.ts';
import { devicePlace, edgePlace, planId, type Strategy, wanted } from '../strategy.ts';

/**
 * The stem and a binary branch on the device; a sample whose branch is unsure sends the stem's output, packed,
 * and the edge finishes the whole network from there. The edge's section stays in the Plan when no edge can be
 * reached: the branch then answers everything, and the Plan is still right when the edge comes back.
 *
 * The exit rate is the measured one, of the profile or else of the bundle; unknown counts as 0.
 *
 * Source: LcDNN (IEEE TMC, doi 10.1109/TMC.2020.3043051), algorithm 3. Deviation: the stem's output is quantised
 * and packed as `model.codec` says, where the paper sends float32.
 */
export const lcdnn: Strategy = (model, profile, context) => {
  const { branch, main, stem, flops } = model;
  const wants = wanted(branch.artifact, context);
  return {
    plan: {
      id: planId('lcdnn', model),
      strategy: 'lcdnn',
      places: [devicePlace, edgePlace],
      sections: [
        {
          id: 'device',
          place: devicePlace.id,
          engine: branch.artifact.engine,
          artifact: branch.artifact.digest,
          inputs: [model.input],
          outputs: [stem, branch.scores],
          model: `${model.name}.branch`,
        },
        {
          id: 'rest',
          place: edgePlace.id,
          engine: main.artifact.engine,
          artifact: main.artifact.digest,
          inputs: [stem],
          outputs: [main.scores],
          model: `${model.name}.rest`,
        },
      ],
      links: [
        {
          from: 'input',
          to: 'device',
          tensors: [model.input.tensor],
          codec: { kind: 'raw' },
          when: { kind: 'always' },
        },
        {
          from: 'device',
          to: 'rest',
          tensors: [stem.tensor],
          codec: model.codec,
          when: { kind: 'exitNotTaken', exit: 'branch' },
        },
      ],
      exits: [
        { id: 'branch', section: 'device', scores: branch.scores.tensor, policy: model.exit },
        { id: 'main', section: 'rest', scores: main.scores.tensor, policy: { kind: 'end' } },
      ],
      predicted: predict(
        {
          deviceFlops: flops.stem + flops.branch,
          edgeFlops: flops.rest,
          uplinkBytes: profile.packedStemBytes ?? encodedBytes(stem, model.codec),
          classes: model.labels.length,
          exitRate: context.edge ? (profile.exitRate ?? model.measured?.exitRate ?? 0) : 1,
          downloadBytes: wants.reduce((sum, want) => sum + want.artifact.bytes, 0),
        },
        profile,
        context,
      ),
    },
    wants,
  };
};
