/** The page: puts the sheet, the network and the views together. */
import './hook.ts';
import { toTierwiseError } from '@tierwise/core';
import { type Answer, type Composite, type EdgeState, load } from '@tierwise/device/main';
import { onnxEngine } from '@tierwise/device/ort';
import { strategies } from '@tierwise/plan';
import { createAnswerView, type Shown } from './answer-view.ts';
import { createCamera, photoSide } from './camera.ts';
import { byId } from './dom.ts';
import { createDrawing } from './drawing.ts';
import { createEntropyScale } from './entropy-scale.ts';
import { createExamplesView } from './examples-view.ts';
import { formatCount, formatPercent } from './format.ts';
import { createHistoryView } from './history-view.ts';
import { Latest } from './latest.ts';
import { createLoadView } from './load-view.ts';
import { cameraTitle, type ModeName, type Subject, subjects } from './modes.ts';
import { fashionPlacement, mnistPlacement, normalizeDrawing, pictureSide } from './normalize-drawing.ts';
import { keepOffline } from './offline.ts';
import { createPathView } from './path-view.ts';
import { inkOf } from './photo.ts';
import { createPictureView } from './picture-view.ts';
import { createRevealView } from './reveal-view.ts';
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

const jobs = new Latest();
const answerView = createAnswerView();
const pathView = createPathView();
const pictureView = createPictureView();
const loadView = createLoadView();
const revealView = createRevealView();
const historyView = createHistoryView();
const examplesView = createExamplesView((strokes) => drawing.show(strokes));

/** What has been loaded, or is being; a load that failed is forgotten. */
const composites = new Map<Subject, Promise<Composite>>();
let mode: ModeName = 'digits';
let subject: Subject = 'digits';
/** Of the subject, once it is there. */
let composite: Composite | undefined;
/** What the network is asked about; undefined while there is nothing to see. */
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
  if (next.kind === 'answer') historyView.add(answer, loaded.plan.places);
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
  if (guess) return answer;
  revealView.show(greys, answer);
  // Not waited for: browsers make a PNG when they are idle, which may take a second.
  void pictureView.pngBytes().then(pathView.setPngBytes);
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

/** The picture of what is on the sheet or before the camera. */
const currentPicture = (): Uint8Array<ArrayBuffer> | undefined => {
  const placement = subject === 'digits' ? mnistPlacement : fashionPlacement;
  if (mode !== 'camera') {
    const greys = drawing.greys();
    return greys && normalizeDrawing(greys, rasterSide, rasterSide, placement);
  }
  const photo = camera.photo();
  return (
    photo &&
    normalizeDrawing(
      inkOf(photo, photoSide, photoSide, subject === 'digits'),
      photoSide,
      photoSide,
      placement,
    )
  );
};

/** Takes what there is to see to the network. */
const look = (guess: boolean): void => {
  cancelAnimationFrame(frame);
  frame = 0;
  picture = currentPicture();
  pictureView.show(picture);
  pathView.setPngBytes(undefined);
  if (picture === undefined) {
    show({ kind: 'nothing' });
    revealView.show(undefined);
  }
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

const shutter = byId('shutter', HTMLButtonElement);
const problem = byId('camera-problem', HTMLElement);
const camera = createCamera({
  onChange() {
    shutter.disabled = camera.state === 'off';
    problem.textContent = camera.state === 'off' ? 'Starting the camera…' : '';
    if (camera.state === 'still') look(false);
  },
  onProblem(text) {
    problem.textContent = text;
  },
});
/** What moves before the camera is looked at a few times a second, by this device only, until somebody asks. */
const lookEveryMs = 250;
let asked = false;
setInterval(() => {
  if (mode === 'camera' && camera.state === 'live' && !asked && !document.hidden) look(true);
}, lookEveryMs);
shutter.addEventListener('click', () => {
  asked = camera.state === 'live' && !asked;
  const video = byId('camera', HTMLVideoElement);
  if (asked) video.pause();
  else void video.play();
  shutter.textContent = asked ? 'Go on' : 'Ask';
  if (asked || camera.state === 'still') look(false);
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

const bundleOf = (one: Subject): URL => new URL(`models/${subjects[one].bundle}.tierwise/`, document.baseURI);

const open = async (one: Subject): Promise<Composite> => {
  const loaded = await load(bundleOf(one), {
    onProgress: (progress) => {
      if (one === subject) loadView.progress(progress);
    },
    engines: [onnxEngine()],
    strategies,
    // The visitor may choose edge-only, which sends the picture itself and says so.
    rawInputMayLeave: true,
  });
  loaded.on('edge', (state) => {
    if (loaded === composite) showEdge(state);
  });
  return loaded;
};

/** Makes the subject's network the one that is asked, loading it when it is not there yet. */
const start = async (): Promise<void> => {
  const wanted = subject;
  jobs.cancel();
  composite = undefined;
  picture = undefined;
  show({ kind: 'nothing' });
  revealView.show(undefined);
  loadView.loading();
  const opening = composites.get(wanted) ?? open(wanted);
  composites.set(wanted, opening);
  try {
    const loaded = await opening;
    if (wanted === subject) ready(loaded);
  } catch (thrown) {
    composites.delete(wanted);
    if (wanted === subject) loadView.failed(toTierwiseError(thrown), () => void start());
  }
};

const ready = (loaded: Composite): void => {
  composite = loaded;
  const { labels, exit, measured } = loaded.manifest;
  loadView.loaded();
  answerView.setLabels(labels);
  if (exit.kind === 'entropy') scale.setDefault(exit.threshold);
  if (loaded.threshold !== undefined) loaded.setThreshold(scale.threshold);
  scale.setEnabled(loaded.threshold !== undefined);
  strategyView.setComposite(loaded);
  revealView.setComposite(loaded, bundleOf(subject), subjects[subject].bundle);
  historyView.clear();
  if (measured !== undefined) {
    byId('measured', HTMLElement).textContent =
      `Measured on ${formatCount(measured.samples)} test samples of ${measured.data}: the device’s network alone ` +
      `${formatPercent(measured.branchAccuracy)} right, the whole network ${formatPercent(measured.mainAccuracy)}, ` +
      `both together ${formatPercent(measured.compositeAccuracy)} with ${formatPercent(measured.exitRate)} of them ` +
      'answered on the device.';
  }
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
  look(false);
};

const cameraSubject = byId('camera-subject', HTMLSelectElement);

/** Goes to another mode, and to its network. */
const enter = (next: ModeName): void => {
  mode = next;
  const before = subject;
  subject = next === 'camera' ? (cameraSubject.value as Subject) : next;
  const { title, invitation, looksLike } = subjects[subject];
  byId('title', HTMLElement).textContent = next === 'camera' ? cameraTitle : title;
  document.title = `${next === 'camera' ? cameraTitle : title} · Tierwise`;
  byId('looks-like', HTMLElement).textContent = looksLike;
  byId('invitation', HTMLElement).textContent = invitation;
  byId('draw', HTMLElement).hidden = next === 'camera';
  byId('shoot', HTMLElement).hidden = next !== 'camera';
  asked = false;
  shutter.textContent = 'Ask';
  if (subject !== before || composite === undefined) void start();
  if (next === 'camera') {
    look(false);
    void camera.start();
  } else {
    camera.stop();
    examplesView.show(next);
    drawing.show([], next === 'clothes');
  }
};

for (const choice of byId('modes', HTMLFieldSetElement).querySelectorAll('input')) {
  choice.addEventListener('change', () => {
    if (choice.checked) enter(choice.value as ModeName);
  });
  // Browsers keep the choice over a reload.
  if (choice.checked) mode = choice.value as ModeName;
}
cameraSubject.addEventListener('change', () => {
  subject = cameraSubject.value as Subject;
  byId('looks-like', HTMLElement).textContent = subjects[subject].looksLike;
  void start();
});
byId('clear', HTMLButtonElement).addEventListener('click', () => drawing.show([]));
enter(mode);
keepOffline(byId('offline', HTMLElement));
