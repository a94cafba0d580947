/**
 * The scale on which the answer's entropy meets the threshold, and on which the threshold is set. Logarithmic,
 * because thresholds that differ by a factor of ten are equally far apart in what they do.
 */
import type { Answer } from '@tierwise/device';
import { byId } from './dom.ts';
import { formatEntropy } from './format.ts';

/** Decades from the left end, 1e-5, to the right end, 1. */
const decades = 5;
const stepsPerDecade = 100;
export const lastStep = decades * stepsPerDecade;

/** Where a value in 0..1 stands on the scale, 0 left to 1 right; what is less than the left end stands on it. */
export function positionOf(value: number): number {
  return Math.min(1, Math.max(0, 1 + Math.log10(value) / decades));
}

/**
 * The threshold at a step of the slider. The two ends mean what they look like: at 0 no entropy is below, so
 * every drawing goes on; at the right end even a uniform answer (entropy 1) is below 1.01, so every one stays.
 */
export function thresholdAt(step: number): number {
  if (step <= 0) return 0;
  if (step >= lastStep) return 1.01;
  return 10 ** (step / stepsPerDecade - decades);
}

/** The slider's step nearest to a threshold. */
export function stepOf(threshold: number): number {
  return Math.round(positionOf(threshold) * lastStep);
}

/** What the scale shows of an answer; a guess is the device's own, made while the pen is still down. */
export type Judged = Pick<Answer, 'entropy' | 'threshold' | 'tier' | 'degraded'> & {
  readonly guess?: boolean;
};

/** Why the answer came from where it came, in one sentence; `threshold` as set now. */
export function whySentence(judged: Judged, threshold: number): string {
  const entropy = formatEntropy(judged.entropy);
  if (judged.threshold === undefined) {
    const who = judged.tier === 'device' ? 'this device' : 'the edge';
    return `No threshold here: ${who} answers every drawing (entropy ${entropy}).`;
  }
  const limit = formatEntropy(Math.min(1, threshold));
  if (judged.guess === true) {
    return judged.entropy < threshold
      ? `Entropy ${entropy} is below ${limit}: this would stay on this device.`
      : `Entropy ${entropy} is not below ${limit}: this would go on to the edge.`;
  }
  // The slider has passed the entropy since, and the answer to that is still on its way.
  const overtaken = judged.entropy < threshold !== judged.entropy < judged.threshold;
  if (overtaken) {
    return judged.entropy < threshold
      ? `Entropy ${entropy} is below ${limit} now: asking this device.`
      : `Entropy ${entropy} is not below ${limit} now: asking the edge.`;
  }
  if (judged.degraded !== undefined) {
    return `Entropy ${entropy} is not below ${limit}, but the edge could not finish it.`;
  }
  return judged.entropy < threshold
    ? `Entropy ${entropy} is below ${limit}: sure enough to stay on this device.`
    : `Entropy ${entropy} is not below ${limit}: too unsure, so the edge finished it.`;
}

export interface EntropyScale {
  /** The threshold as set by the slider. */
  readonly threshold: number;
  /** Marks `threshold` as the bundle's own and sets the slider to it. */
  setDefault(threshold: number): void;
  /** Whether the strategy in force has a threshold at all. */
  setEnabled(enabled: boolean): void;
  /** Shows where an answer stands; undefined takes the marker away. */
  show(judged: Judged | undefined): void;
}

export interface EntropyScaleEvents {
  /** The slider moved. */
  readonly onInput: (threshold: number) => void;
  /** The slider was let go. */
  readonly onChange: (threshold: number) => void;
}

export function createEntropyScale({ onInput, onChange }: EntropyScaleEvents): EntropyScale {
  const root = byId('scale', HTMLElement);
  const slider = byId('threshold', HTMLInputElement);
  const reading = byId('threshold-value', HTMLOutputElement);
  const label = byId('marker-label', HTMLElement);
  const sentence = byId('why', HTMLElement);
  const reset = byId('threshold-reset', HTMLButtonElement);
  const invitation = sentence.textContent;
  /** The bundle's threshold, exactly: the slider's steps only come near it. */
  let own: number | undefined;
  let judged: Judged | undefined;

  const threshold = (): number => {
    const step = Number(slider.value);
    return own !== undefined && step === stepOf(own) ? own : thresholdAt(step);
  };

  const paint = (): void => {
    if (own === undefined) return;
    const now = threshold();
    root.style.setProperty('--threshold', String(Number(slider.value) / lastStep));
    root.style.setProperty('--default', String(positionOf(own)));
    slider.dataset['value'] = String(now);
    const effect = now === 0 ? ' (every drawing goes on)' : now > 1 ? ' (every drawing stays)' : '';
    reading.textContent = `threshold ${formatEntropy(Math.min(1, now))}${effect}`;
    slider.setAttribute('aria-valuetext', reading.textContent);
    reset.textContent = `Default ${formatEntropy(own)}`;
    reset.disabled = slider.disabled || now === own;
    root.classList.toggle('has-answer', judged !== undefined);
    if (judged === undefined) {
      label.textContent = 'entropy –';
      delete label.dataset['value'];
      sentence.textContent = invitation;
      return;
    }
    root.style.setProperty('--entropy', String(positionOf(judged.entropy)));
    label.textContent = `entropy ${formatEntropy(judged.entropy)}`;
    label.dataset['value'] = String(judged.entropy);
    sentence.textContent = whySentence(judged, now);
  };

  slider.addEventListener('input', () => {
    paint();
    onInput(threshold());
  });
  slider.addEventListener('change', () => onChange(threshold()));
  reset.addEventListener('click', () => {
    if (own === undefined) return;
    slider.value = String(stepOf(own));
    paint();
    onChange(own);
  });

  return {
    get threshold() {
      return threshold();
    },
    setDefault(value) {
      own = value;
      slider.value = String(stepOf(value));
      paint();
    },
    setEnabled(enabled) {
      slider.disabled = !enabled;
      root.classList.toggle('off', !enabled);
      paint();
    },
    show(shown) {
      judged = shown;
      paint();
    },
  };
}
