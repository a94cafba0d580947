export { attachedComposite, designFor, temperatureFor } from './attach.ts';
export { type AttachOptions, type ImportedBackbone, importBackbone } from './import.ts';
export {
  type Normalization,
  type NormalizationTrial,
  temperatureOf,
  tryNormalizations,
} from './preprocess.ts';
