import { TierwiseError, tensor } from '@tierwise/core';
import type { Engine } from '@tierwise/plan';

/** The engine of the main network: the pixel that each class is scored by. */
export const mainEngine: Engine = {
  name: 'onnx',
  async load(artifact, section) {
    const text = new TextDecoder().decode(artifact);
    if (!/^\d( \d)*$/.test(text)) throw new TierwiseError('MODEL_CORRUPT', 'not a list of pixels');
    return {
      async run(inputs) {
        const { data } = inputs.get(section.inputs[0]!.tensor)!;
        const scores = Float32Array.from(text.split(' '), (i) => Number(data[Number(i)]));
        return new Map([['main_scores', tensor('float32', [1, scores.length], scores)]]);
      },
      async dispose() {},
    };
  },
};
