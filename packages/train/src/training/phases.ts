import { isTierwiseError, type Tensor, TierwiseError } from '@tierwise/core';
import type { Dataset } from '@tierwise/data';
import { extract } from '@tierwise/graph';
import { type Backbone, type OpenBackbone, openBackbone } from '../frozen/backbone.ts';
import { takeWeights } from '../frozen/backbone-training.ts';
import { int8Teacher } from '../frozen/int8.ts';
import type { Weights } from '../layers/inference.ts';
import { addBranch, exportComposite, exportMain, pixelPreprocess, ports } from '../networks/export.ts';
import { findNetwork, type Network } from '../networks/index.ts';
import { type StartingValues, startingValues } from '../start/drawn.ts';
import { inherited } from '../start/inherited.ts';
import { optimizers } from '../step/optimizer.ts';
import { attachedStep, branchStep, networkStep, type StepOptions, type TrainingStep } from '../step/step.ts';
import { holdBack, unchanged } from './batches.ts';
import { batchOf, type PhaseSettings, type TrainingSettings } from './settings.ts';
import type { Deployed } from './validate.ts';

/** A phase of a training, ready to be run. */
export interface Phase extends AsyncDisposable {
  readonly step: TrainingStep;
  /** What gives the stems and scores that the step learns from, if it learns from any. */
  readonly frozen?: Backbone;
  /**
   * What the step learns from, made of `pixels` uint8 [n, c, h, w]. The same pixels have the same `key`, where they may
   * come again.
   */
  feeds(pixels: Tensor<'uint8'>, key?: string): Promise<Readonly<Record<string, Tensor>>>;
  /** Values that the step's parameters and statistics start with where no earlier phase has trained them. */
  start(): StartingValues;
  /**
   * What it trains with these weights, as it sees things: smaller where the phase has a side. Absent where a branch's
   * weights are not binary yet.
   */
  deployed?(weights: Weights): Deployed;
}

/** Opens a phase; `weights` are those that earlier phases have trained. */
export type PhaseOpener = (phase: PhaseSettings, weights: Weights) => Promise<Phase>;

function stepOptions(settings: TrainingSettings, phase: PhaseSettings, classes: number): StepOptions {
  const { optimizer, weightDecay, side } = phase;
  const { dropout } = settings;
  return {
    batch: batchOf(settings, phase),
    classes,
    optimizer: optimizers[optimizer],
    weightDecay,
    ...(dropout === undefined ? {} : { dropout }),
    ...(side === undefined ? {} : { side }),
  };
}

interface Surroundings {
  readonly settings: TrainingSettings;
  readonly data: Dataset;
  readonly threads: number;
  /** What `settings.studentOf` names. */
  readonly teacher?: Backbone;
}

/** Opens the phases of a training: of a branch on its `backbone`, or of a network of ours, which may have a `teacher`. */
export function phaseOpener(options: Surroundings & { readonly backbone?: Backbone }): PhaseOpener {
  if ((options.teacher === undefined) !== (options.settings.studentOf === undefined))
    throw new TierwiseError('USAGE', 'a teacher is what the settings name as studentOf');
  const known: KnownScores = new Map();
  return options.backbone ? branchPhase(options.backbone, options, known) : phasesOfNetwork(options, known);
}

/**
 * What a frozen network said of pictures that come again, by their key. No more is kept than `mostKnown` numbers; what
 * is not kept is computed again.
 */
type KnownScores = Map<string, Tensor<'float32'>>;
/** 256 MB. */
const mostKnown = 2 ** 26;

function remember(known: KnownScores, key: string, scores: Tensor<'float32'>): void {
  if (key !== '' && (known.size + 1) * scores.data.length <= mostKnown) known.set(key, scores);
}

/** The phases of a network of ours: a branch is trained on what the phase before it has left. */
function phasesOfNetwork(around: Surroundings, known: KnownScores): PhaseOpener {
  const { settings, data, teacher } = around;
  const network = findNetwork(settings.network);
  const classes = data.classes.length;
  return async (phase, weights) => {
    if (isOfBranch(phase))
      return branchPhase(backboneOf(network, weights, classes), around, known)(phase, weights);
    const branch = phase.kind === 'joint' ? settings : undefined;
    const options = stepOptions(settings, phase, classes);
    const step = networkStep(network, branch, options, teacher && { temperature: settings.temperature });
    const { side = 1 } = phase;
    const start = () => startingValues(step, settings.seed);
    return {
      ...(teacher ? await taught(teacher, step, start, around, known) : onPixels(step, start)),
      deployed: (trained) => ({
        model: (branch
          ? exportComposite(network, trained, classes, { smallEnds: true, branch, side })
          : exportMain(network, trained, classes, side)
        ).model,
        input: ports.input,
        preprocess: pixelPreprocess(network),
        heads: { main: ports.main, ...(branch && { branch: ports.branch }) },
      }),
    };
  };
}

/** Whether a phase trains the branch alone. */
const isOfBranch = ({ kind }: PhaseSettings): boolean => kind === 'branch' || kind === 'branch-real';

/** The phases of a branch on a backbone: frozen, or joint with it. */
function branchPhase(backbone: Backbone, around: Surroundings, known: KnownScores): PhaseOpener {
  const { settings, data, threads } = around;
  const classes = data.classes.length;
  return async (phase) => {
    if (phase.kind === 'main')
      throw new TierwiseError('USAGE', `a branch on a backbone has no phase "${phase.kind}"`, {
        phase: phase.kind,
      });
    const options = stepOptions(settings, phase, classes);
    if (phase.kind === 'joint') {
      await using opened = await openBackbone(backbone, threads);
      checkClasses(opened, settings.network, classes);
      const step = trainable(() => attachedStep(backbone, opened.stemDims, settings, options));
      const { stemDims } = opened;
      return {
        ...onPixels(step, () => inherited(startingValues(step, settings.seed), step.parameters, backbone)),
        deployed: (trained) => withBranch(backbone, settings, trained, { stemDims, classes, phase }),
      };
    }
    const { frozen, opened } = await openTeacher(backbone, settings.network, around);
    try {
      const step = branchStep(
        opened.stemDims,
        settings,
        { temperature: settings.temperature, realWeights: phase.kind === 'branch-real' },
        options,
      );
      return {
        step,
        frozen,
        async feeds(pixels, key = '') {
          const { stem, scores } = await opened.run(pixels, known.get(key));
          remember(known, key, scores);
          return { stem, teacher: scores };
        },
        start: () => inherited(startingValues(step, settings.seed, 'branch'), step.parameters, backbone),
        ...(phase.kind === 'branch' && {
          deployed: (trained: Weights) =>
            withBranch(backbone, settings, trained, { stemDims: opened.stemDims, classes, phase }),
        }),
        [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
      };
    } catch (error) {
      await opened[Symbol.asyncDispose]();
      throw error;
    }
  };
}

/** A frozen network, called `name`, that is to teach: in 8 bits where the settings say so. */
async function openTeacher(
  backbone: Backbone,
  name: string,
  around: Surroundings,
): Promise<{ frozen: Backbone; opened: OpenBackbone }> {
  const { settings, data, threads } = around;
  const frozen =
    settings.teacher === 'int8' ? await int8Teacher(backbone, examples(around), threads) : backbone;
  const opened = await openBackbone(frozen, threads);
  try {
    checkClasses(opened, name, data.classes.length);
    return { frozen, opened };
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
}

/** A phase whose step learns from pixels, and from what a `teacher` says of them. */
async function taught(
  teacher: Backbone,
  step: TrainingStep,
  start: Phase['start'],
  around: Surroundings,
  known: KnownScores,
): Promise<Phase> {
  const name = around.settings.studentOf?.bundle ?? 'the teacher';
  const { frozen, opened } = await openTeacher(teacher, name, around);
  return {
    step,
    frozen,
    async feeds(pixels, key = '') {
      const scores = known.get(key) ?? (await opened.run(pixels)).scores;
      remember(known, key, scores);
      return { pixels, teacher: scores };
    },
    start,
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

/** Pictures that a teacher in 8 bits is calibrated and checked on, at most. */
const mostExamples = 256;

/** Pictures to learn from as they are, uint8 [n, c, h, w]. */
function examples({ settings, data }: Surroundings): Tensor<'uint8'> {
  const { train } = holdBack(data.samples, settings.holdout, settings.seed);
  // As many as a whole number of batches: a network may take just so many at once.
  const whole = Math.floor(Math.min(mostExamples, train.length) / settings.batch) * settings.batch;
  return unchanged(data, train.subarray(0, Math.max(settings.batch, whole)));
}

/** A phase whose step learns from pixels alone. */
const onPixels = (step: TrainingStep, start: Phase['start']): Phase => ({
  step,
  feeds: async (pixels) => ({ pixels }),
  start,
  async [Symbol.asyncDispose]() {},
});

/** What `write` gives, or else why the network cannot be trained and what can be done. */
function trainable(write: () => TrainingStep): TrainingStep {
  try {
    return write();
  } catch (error) {
    if (!isTierwiseError(error, 'MODEL_UNSUPPORTED')) throw error;
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      `the network cannot be trained: ${error.message}. --freeze trains the branch alone`,
      error.details,
      { cause: error },
    );
  }
}

function checkClasses(backbone: OpenBackbone, name: string, classes: number): void {
  const scores = backbone.scoresDims[1]!;
  if (scores !== classes)
    throw new TierwiseError('USAGE', `${name} tells ${scores} classes apart, the data has ${classes}`, {
      scores,
      classes,
    });
}

/** A backbone's stem with its branch; where both were trained jointly the rest of it too, with the weights of that. */
function withBranch(
  { model, ports: { input, stem, scores }, preprocess }: Backbone,
  branch: TrainingSettings,
  weights: Weights,
  how: { readonly stemDims: readonly number[]; readonly classes: number; readonly phase: PhaseSettings },
): Deployed {
  const { stemDims: dims, classes, phase } = how;
  const { side = 1 } = phase;
  const joint = phase.kind === 'joint';
  const piece = extract(model, { inputs: [input], outputs: joint ? [stem, scores] : [stem] });
  if (joint) takeWeights(piece, weights);
  addBranch(piece, branch, weights, { stem: { tensor: stem, dims }, classes, smallEnds: true, side });
  return {
    model: piece,
    input,
    preprocess,
    heads: { ...(joint && { main: scores }), branch: ports.branch },
  };
}

/** Stem and main network as they will be deployed. */
export function backboneOf(network: Network, weights: Weights, classes: number): Backbone {
  return {
    model: exportMain(network, weights, classes).model,
    ports: { input: ports.input, stem: ports.stem, scores: ports.main },
    preprocess: pixelPreprocess(network),
  };
}
