/** The page: puts the sheet, the network and the views together. */
import './hook.ts';
import { toTierwiseError } from '@tierwise/core';
import { type Answer, type Composite, type EdgeState, load } from '@tierwise/device';
import { onnxEngine } from '@tierwise/device/ort';
import { strategies } from '@tierwise/plan';
import { createAnswerView, type Shown } from './answer-view.ts';
import { byId } from './dom.ts';
import { createDrawing } from './drawing.ts';
import { createEntropyScale } from './entropy-scale.ts';
import { showExamples } from './examples-view.ts';
import { formatCount, formatPercent } from './format.ts';
import { Latest } from './latest.ts';
import { createLoadView } from './load-view.ts';
import { normalizeDrawing, pictureSide } from './normalize-drawing.ts';
import { createPathView } from './path-view.ts';
import { createPictureView } from './picture-view.ts';
import { createStrategyView } from './strategy-view.ts';
import { rasterSide } from './strokes.ts';

/** A threshold that every entropy is below: the device answers and nothing is sent. */
const everyOneStays = 1.01;
const edgeWords: Readonly<Record<EdgeState, string>> = {
  none: 'No edge',
  connecting: 'Edge: connecting',
  connected: 'Edge: connected',
  unreachable: 'Edge: unreachable',
};

const bundle = new URL('models/lenet-mnist.tierwise/', document.baseURI);
const jobs = new Latest();
const answerView = createAnswerView();
const pathView = createPathView();
const pictureView = createPictureView();
const loadView = createLoadView();

let composite: Composite | undefined;
/** What the network is asked about; undefined while the sheet is blank. */
let picture: Uint8Array | undefined;
let shown: Shown = { kind: 'nothing' };
let frame = 0;

const show = (next: Shown): void => {
  shown = next;
  const answer = next.kind === 'answer' || next.kind === 'guess' ? next.answer : undefined;
  const loaded = composite;
  answerView.show(next);
  scale.show(answer && { ...answer, guess: next.kind === 'guess' });
  if (answer === undefined || loaded === undefined) {
    pathView.show({ kind: next.kind === 'none' ? 'none' : 'nothing' });
    return;
  }
  const rawInput = answer.sent?.tensor === loaded.manifest.input.tensor;
  pathView.show({ kind: 'answer', answer, places: loaded.plan.places, rawInput });
};

/** Classifies `greys` and shows the answer, unless `signal` was aborted meanwhile. A guess never leaves the device. */
const classify = async (
  loaded: Composite,
  greys: Uint8Array,
  { guess, signal }: { readonly guess: boolean; readonly signal: AbortSignal },
): Promise<Answer> => {
  const answer = await loaded.classify(
    { data: greys, width: pictureSide, height: pictureSide },
    guess ? { signal, threshold: everyOneStays } : { signal },
  );
  if (signal.aborted) return answer;
  show({ kind: guess ? 'guess' : 'answer', answer });
  // Not waited for: browsers make a PNG when they are idle, which may take a second.
  if (!guess) void pictureView.pngBytes().then(pathView.setPngBytes);
  return answer;
};

/** Asks about the picture as it is now, when there is something to ask and someone to answer. */
const ask = (guess: boolean): void => {
  const loaded = composite;
  const greys = picture;
  if (loaded === undefined || greys === undefined) return;
  if (guess && loaded.plan.strategy === 'edge-only') return;
  jobs.submit({
    short: guess,
    run: async (signal) => {
      try {
        await classify(loaded, greys, { guess, signal });
      } catch (thrown) {
        const { code, message } = toTierwiseError(thrown);
        if (!signal.aborted) show({ kind: 'none', reason: `${code}: ${message}` });
      }
    },
  });
};

/** Takes what is on the sheet to the network. */
const look = (guess: boolean): void => {
  cancelAnimationFrame(frame);
  frame = 0;
  const greys = drawing.greys();
  picture = greys && normalizeDrawing(greys, rasterSide, rasterSide);
  pictureView.show(picture);
  pathView.setPngBytes(undefined);
  if (picture === undefined) show({ kind: 'nothing' });
  ask(guess);
};

const drawing = createDrawing(byId('paper', HTMLCanvasElement), {
  onStart() {
    jobs.cancel();
    byId('invitation', HTMLElement).hidden = !drawing.blank;
  },
  onDraw() {
    frame ||= requestAnimationFrame(() => look(true));
  },
  onDone() {
    look(false);
  },
});

const scale = createEntropyScale({
  onInput(threshold) {
    const before = composite?.threshold;
    if (before === undefined) return;
    composite?.setThreshold(threshold);
    // Ask again as soon as the answer would come from another tier; until then it would be the same.
    if (shown.kind === 'answer') {
      const { entropy } = shown.answer;
      if (entropy < before !== entropy < threshold) ask(false);
    }
  },
  onChange(threshold) {
    if (composite?.threshold !== undefined) composite.setThreshold(threshold);
    ask(false);
  },
});

const strategyView = createStrategyView(() => {
  const ownThreshold = composite?.threshold !== undefined;
  if (ownThreshold) composite?.setThreshold(scale.threshold);
  scale.setEnabled(ownThreshold);
  ask(false);
});

const showEdge = (state: EdgeState): void => {
  const pill = byId('edge-state', HTMLElement);
  pill.dataset['state'] = state;
  pill.querySelector('span')!.textContent = edgeWords[state];
  // The edge is back: what it could not finish is asked again.
  const missed = shown.kind === 'none' || (shown.kind === 'answer' && shown.answer.degraded !== undefined);
  if (state === 'connected' && missed) ask(false);
};

const start = async (): Promise<void> => {
  loadView.loading();
  try {
    const loaded = await load(bundle, {
      onProgress: loadView.progress,
      engines: [onnxEngine()],
      strategies,
      // The visitor may choose edge-only, which sends the picture itself and says so.
      rawInputMayLeave: true,
    });
    ready(loaded);
  } catch (thrown) {
    loadView.failed(toTierwiseError(thrown), () => void start());
  }
};

const ready = (loaded: Composite): void => {
  composite = loaded;
  const { labels, exit, measured } = loaded.manifest;
  loadView.loaded();
  answerView.setLabels(labels);
  if (exit.kind === 'entropy') scale.setDefault(exit.threshold);
  scale.setEnabled(loaded.threshold !== undefined);
  strategyView.setComposite(loaded);
  if (measured !== undefined) {
    byId('measured', HTMLElement).textContent =
      `Measured on ${formatCount(measured.samples)} test samples of ${measured.data}: the device’s network alone ` +
      `${formatPercent(measured.branchAccuracy)} right, the whole network ${formatPercent(measured.mainAccuracy)}, ` +
      `both together ${formatPercent(measured.compositeAccuracy)} with ${formatPercent(measured.exitRate)} of them ` +
      'answered on the device.';
  }
  loaded.on('edge', showEdge);
  showEdge(loaded.edgeState);
  window.tierwiseDemo = {
    composite: loaded,
    classifyPixels(data) {
      jobs.cancel();
      picture = data;
      pictureView.show(data);
      return classify(loaded, data, { guess: false, signal: new AbortController().signal });
    },
  };
  ask(false);
};

showExamples((strokes) => drawing.show(strokes));
byId('clear', HTMLButtonElement).addEventListener('click', () => drawing.show([]));
show(shown);
void start();
