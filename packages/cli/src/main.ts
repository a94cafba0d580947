import { availableParallelism } from 'node:os';
import { TierwiseError } from '@tierwise/core';
import { strategies } from '@tierwise/plan';
import { networks, optimizers, recipes } from '@tierwise/train';
import { Command, CommanderError, Option } from 'commander';
import { type AttachFlags, attachCommand } from './commands/attach.ts';
import { type BenchFlags, benchCommand } from './commands/bench.ts';
import { type PlaceFlags, placeCommand } from './commands/branch.ts';
import { type CutFlags, cutCommand } from './commands/cut.ts';
import { doctorCommand } from './commands/doctor.ts';
import { type EdgeFlags, edgeCommand, logLevels } from './commands/edge.ts';
import { type EvalFlags, evalCommand } from './commands/eval.ts';
import { type ExploreFlags, exploreCommand } from './commands/explore.ts';
import { inspectCommand } from './commands/inspect.ts';
import { type LeakageFlags, leakageCommand } from './commands/leakage.ts';
import { type PlanFlags, planCommand } from './commands/plan.ts';
import { type RejectionFlags, rejectionCommand } from './commands/rejection.ts';
import { type RunFlags, runCommand } from './commands/run.ts';
import { algorithms, sampleChoices, type ThresholdFlags, thresholdCommand } from './commands/threshold.ts';
import { type TrainFlags, trainCommand } from './commands/train.ts';
import { dataHelp } from './data.ts';
import { linkNames } from './link.ts';
import { createTerminal, fail, type Terminal } from './terminal.ts';
import { collect, collectDim, fraction, numbers, pictureSize, real, whole, wholes } from './values.ts';

/** The first Ctrl-C asks the work to end cleanly, the second does not ask. (The edge handles its own signals.) */
function untilCtrlC(): AbortSignal {
  const stop = new AbortController();
  process.once('SIGINT', () => {
    stop.abort(new TierwiseError('CANCELLED', 'cancelled'));
    process.once('SIGINT', () => process.exit(130));
  });
  return stop.signal;
}

/** Makes the handler of a command: with its terminal, its errors and Ctrl-C. */
function handle<Args extends unknown[]>(work: (terminal: Terminal, ...args: Args) => Promise<void>) {
  return async (...args: [...Args, Command]): Promise<void> => {
    const json = Boolean((args.at(-1) as Command).optsWithGlobals()['json']);
    try {
      await work(createTerminal({ json }), ...(args.slice(0, -1) as unknown as Args));
    } catch (error) {
      fail(error, { json });
    }
  };
}

/** The options that all commands share which train a branch. */
function withTrainingOptions(command: Command): Command {
  return command
    .option(
      '--shift <pixels>',
      'move training pictures by up to this (default: 4 for cifar-10, else 1)',
      whole(0),
    )
    .option('--flip', 'mirror training pictures at random (default for cifar-10 and fashion-mnist)')
    .option('--no-flip', 'do not')
    .option('--cutout <pixels>', 'blacken a square of this side (default: 8 for cifar-10, else 0)', whole(0))
    .option('--smoothing <share>', 'of each target, spread over all classes', real(0, 0.99), 0)
    .option('--seed <n>', 'of every random choice', whole(0), 1)
    .option(
      '--tolerance <share>',
      'accuracy that the threshold may cost on the held-back samples',
      real(0, 1),
      0.0003,
    )
    .option('--threads <n>', 'default: one per core, at most 4', whole(1))
    .option('--checkpoint-steps <n>', 'steps between two checkpoints', whole(1), 100)
    .option('--resume', 'go on from the checkpoint beside the bundle', false)
    .option('--json', 'print one JSON object');
}

/** What help says of an option: its choices, and a default where there is one to tell. */
function described(option: Option): string {
  const { description, argChoices, defaultValue, defaultValueDescription: shown } = option;
  const told = typeof defaultValue === 'string' || typeof defaultValue === 'number';
  const notes = [
    ...(argChoices ? [`one of: ${argChoices.join(', ')}`] : []),
    ...(shown !== undefined || told ? [`default: ${shown ?? defaultValue}`] : []),
  ];
  return notes.length === 0 ? description : `${description} (${notes.join('; ')})`;
}

const program = new Command('tierwise')
  .description('One neural network spread over the browser, the edge and the cloud.')
  .version('0.1.0')
  .configureHelp({ optionDescription: described })
  .showHelpAfterError('(tierwise --help, or tierwise COMMAND --help, lists what there is)')
  .exitOverride();

withTrainingOptions(
  program
    .command('train')
    .description('train a composite from scratch and write it as a bundle')
    .requiredOption('--network <name>', `one of: ${Object.keys(networks).join(', ')}`)
    .requiredOption('--data <name|folder>', dataHelp)
    .requiredOption('-o, --output <folder>', 'the bundle to write, NAME.tierwise')
    .option(
      '--schedule <name>',
      'joint: main network and branch at once; main-first: then the branch on the frozen main network, by distillation',
      'joint',
    )
    .option(
      '--epochs <n>',
      'passes over the training samples; of the main network when it goes first',
      whole(1),
      12,
    )
    .option('--branch-epochs <n>', 'of the branch when it goes second (default: as --epochs)', whole(1))
    .option(
      '--batch <n>',
      "samples in one step (default: the network's own, or an eighth of few samples)",
      whole(2),
    )
    .option(
      '--optimizer <name>',
      `one of: ${Object.keys(optimizers).join(', ')} (default: adam for joint, else the network's own)`,
    )
    .option(
      '--rate <x>',
      "highest learning rate, with a warm-up before and a cosine after it (default: the optimizer's own)",
      real(0, 10),
    )
    .option('--branch-rate <x>', 'of the branch when it goes second, with adam (default: 0.002)', real(0, 10))
    .option(
      '--main <checkpoint>',
      'with main-first: take the trained main network of another run, which differs in its branch only',
    )
    .option(
      '--export-step <folder>',
      'write the first phase as files, to be run by ONNX Runtime on another machine, instead of training it here',
    )
    .option('--recipe <name>', `how the branch is built, one of: ${Object.keys(recipes).join(', ')}`, 'xnor')
    .option(
      '--branch-depth <n>',
      'binary convolutions of a branch that does not mirror the network',
      whole(1),
    )
    .option('--branch-width <n>', 'filters of its first one; they double where the map is halved', whole(1))
    .option(
      '--holdout <n>',
      'training samples held back to choose the threshold (default: a fifth, at most 5000)',
      whole(1),
    ),
).action(handle((terminal, flags: TrainFlags) => trainCommand(flags, terminal, untilCtrlC())));

withTrainingOptions(
  program
    .command('attach')
    .description('give your own image classifier a branch: from an ONNX file and pictures to a bundle')
    .argument('<file>', 'FILE.onnx, with its weights inside')
    .requiredOption('--data <name|folder>', `${dataHelp}; all are resized to what the network takes`)
    .requiredOption('-o, --bundle <folder>', 'the bundle to write, NAME.tierwise')
    .option(
      '--at <node>',
      'node or tensor after which the branch leaves (default: the end of the first stage)',
    )
    .option('--output <name>', 'tensor with the scores, where the network has several outputs')
    .option(
      '--size <HxW>',
      'height and width of the pictures, where the network leaves them open',
      pictureSize,
    )
    .option(
      '--mean <list>',
      'pixels enter as (pixel * scale - mean) / std; one number, or one a channel',
      numbers(-1e6),
    )
    .option(
      '--std <list>',
      'default 1; without --mean, --std and --scale the usual ones are tried',
      numbers(1e-9),
    )
    .option('--scale <x>', 'of pixels 0 to 255 (default: 1/255)', fraction)
    .option('--bgr', 'the network takes blue first; --mean and --std are then in that order, too', false)
    .option(
      '--classes <file>',
      "names of the network's outputs, in order, a line each (default: those of the data)",
    )
    .option('--freeze', 'leave the network as it is and train the branch alone (default)')
    .addOption(
      new Option('--joint', 'train the network on, together with the branch: its answers change')
        .default(false)
        .conflicts('freeze'),
    )
    .option('--epochs <n>', 'passes over the training samples', whole(1), 12)
    .option('--batch <n>', 'samples in one step (default: 100, or an eighth of few samples)', whole(2))
    .option('--rate <x>', 'highest learning rate (default: 0.002, with --joint 0.001)', real(0, 10))
    .option('--recipe <name>', `how the branch is built, one of: ${Object.keys(recipes).join(', ')}`, 'xnor')
    .option('--branch-depth <n>', 'binary convolutions of the branch (default: 4)', whole(1))
    .option(
      '--branch-width <n>',
      'filters of its first one; they double where the map is halved (default: 64)',
      whole(1),
    )
    .option(
      '--holdout <n>',
      'training samples held back to choose the threshold (default: a fifth, at most 5000)',
      whole(1),
    ),
).action(
  handle((terminal, file: string, flags: AttachFlags) => attachCommand(file, flags, terminal, untilCtrlC())),
);

program
  .command('eval')
  .description('measure a bundle as it is deployed, over every test sample')
  .argument('<bundle>', 'NAME.tierwise')
  .requiredOption('--data <name|folder>', dataHelp)
  .option(
    '--strangers <name|folder>',
    'pictures of other things, to measure how well they are told from the classes',
  )
  .option('--html <file>', 'write a report with the reliability chart')
  .option('--threads <n>', 'default: one per core, at most 4', whole(1))
  .option('--json', 'print one JSON object')
  .action(
    handle((terminal, bundle: string, flags: EvalFlags) =>
      evalCommand(bundle, flags, terminal, untilCtrlC()),
    ),
  );

program
  .command('leakage')
  .description('measure how well pictures can be rebuilt from what a bundle sends, at every precision')
  .argument('<bundle>', 'NAME.tierwise')
  .requiredOption('--data <name|folder>', dataHelp)
  .option('--samples <n>', 'test pictures that are rebuilt, and told from each other', whole(2), 1000)
  .option('--seed <n>', 'of every random choice', whole(0), 1)
  .option('--html <file>', 'write a report with charts and rebuilt pictures')
  .option('--inverter <file>', 'write the linear inverter as JSON, for a page that shows what it reveals')
  .option('--threads <n>', 'default: one per core, at most 4', whole(1))
  .option('--json', 'print one JSON object')
  .action(
    handle((terminal, bundle: string, flags: LeakageFlags) =>
      leakageCommand(bundle, flags, terminal, untilCtrlC()),
    ),
  );

program
  .command('threshold')
  .description('show what every exit threshold of a bundle would do, and choose one')
  .argument('<bundle>', 'NAME.tierwise')
  .requiredOption('--data <name|folder>', dataHelp)
  .addOption(
    new Option(
      '--samples <which>',
      'of the data: those that the training held back, its training half, or the test set (only to look at)',
    )
      .choices(sampleChoices)
      .default('held-back'),
  )
  .option('--min-accuracy <share>', 'least accuracy of the composite, 0 to 1', real(0, 1))
  .option('--max-upload <bytes>', 'most bytes sent for a request, on average', real(0, 1e9))
  .option('--min-exit <share>', 'least share of samples that exit on the device, 0 to 1', real(0, 1))
  .option(
    '--tolerance <share>',
    'accuracy given up for more exits, without --min-accuracy',
    real(0, 1),
    0.0003,
  )
  .addOption(
    new Option(
      '--algorithm <name>',
      'exact: sweep over all thresholds; printed: algorithm 2 of the LcDNN paper, a random walk, for comparison',
    )
      .choices(algorithms)
      .default('exact'),
  )
  .option('--link <name>', `for the expected latency; one of: ${linkNames.join(', ')}`, 'fast-4g')
  .option('--device-gflops <x>', 'speed of the device, multiply and add counted apart', real(0.001, 1e6), 2)
  .option('--edge-gflops <x>', 'speed of the edge', real(0.001, 1e6), 20)
  .option('--write', 'store the threshold in the bundle, measured anew on the test set', false)
  .option('--html <file>', 'write a report with the curves')
  .option('--threads <n>', 'default: one per core, at most 4', whole(1))
  .option('--json', 'print one JSON object, with the whole curve')
  .action(
    handle((terminal, bundle: string, flags: ThresholdFlags) =>
      thresholdCommand(bundle, flags, terminal, untilCtrlC()),
    ),
  );

program
  .command('rejection')
  .description('choose below which energy of its scores the branch tells a picture to be none of the classes')
  .argument('<bundle>', 'NAME.tierwise')
  .requiredOption('--data <name|folder>', dataHelp)
  .addOption(
    new Option(
      '--samples <which>',
      'of which 5 % are to be below: those that the training held back, the training half of the data, or the test set (only to look at)',
    )
      .choices(sampleChoices)
      .default('held-back'),
  )
  .option('--write', 'store the energy in the bundle', false)
  .option('--threads <n>', 'default: one per core, at most 4', whole(1))
  .option('--json', 'print one JSON object')
  .action(
    handle((terminal, bundle: string, flags: RejectionFlags) =>
      rejectionCommand(bundle, flags, terminal, untilCtrlC()),
    ),
  );

program
  .command('branch')
  .description('where a branch belongs in a network (--place), or how deep it should be (--explore)')
  .argument('<target>', 'NAME.tierwise, FILE.onnx or the name of a network; --explore takes a name')
  .option('--place', 'what a branch costs at each place, from expected times; nothing is trained (default)')
  .option('--explore', 'train small branches of several depths, and show accuracy against size')
  .optionsGroup('For --place:')
  .addOption(
    new Option('--link <name>', `one of: ${linkNames.join(', ')}; may be repeated`)
      .argParser(collect)
      .default([], 'fast-4g and wifi-dads'),
  )
  .option('--exit-rate <share>', 'of samples at a branch; default: as measured, else 0.75', real(0, 1))
  .option('--device-gflops <x>', 'speed of the device, multiply and add counted apart', real(0.001, 1e6), 2)
  .option('--edge-gflops <x>', 'speed of the edge', real(0.001, 1e6), 20)
  .option('--binary-speedup <x>', 'of the device in binary layers', real(1, 1000), 14)
  .optionsGroup('For --explore:')
  .option('--data <name|folder>', dataHelp)
  .option('-o, --output <folder>', 'checkpoints and results (default: runs/explore-NETWORK-DATA)')
  .addOption(
    new Option('--blocks <list>', 'numbers of blocks of binary convolutions')
      .argParser(wholes(1))
      .default([1, 2, 3], '1,2,3'),
  )
  .addOption(
    new Option('--dense <list>', 'numbers of binary dense layers')
      .argParser(wholes(0))
      .default([0, 1, 2], '0,1,2'),
  )
  .option('--recipe <name>', `one of: ${Object.keys(recipes).join(', ')}`, 'xnor')
  .option('--samples <n>', 'training samples that are used at most', whole(1), 10_000)
  .option('--holdout <n>', 'of them held back to measure', whole(1), 2000)
  .option('--epochs <n>', 'of the main network', whole(1), 2)
  .option('--branch-epochs <n>', 'of each branch', whole(1), 2)
  .option('--seed <n>', 'of every random choice', whole(0), 1)
  .option('--threads <n>', 'default: one per core, at most 4', whole(1))
  .optionsGroup('For both:')
  .option('--html <file>', 'write a report with charts (default with --explore: report.html in its folder)')
  .option('--json', 'print one JSON object')
  .action(
    handle(
      (
        terminal,
        target: string,
        flags: PlaceFlags & ExploreFlags & { place?: boolean; explore?: boolean },
      ) => {
        if (flags.place && flags.explore)
          throw new TierwiseError('USAGE', '--place and --explore are two commands: give one of them');
        return flags.explore
          ? exploreCommand(target, flags, terminal, untilCtrlC())
          : placeCommand(target, flags, terminal);
      },
    ),
  );

program
  .command('inspect')
  .description('say what is in an ONNX file, a branch program or a bundle')
  .argument('<file>', 'FILE.onnx, FILE.safetensors or NAME.tierwise')
  .option(
    '--dim <name=size>',
    'size of a dimension that the file leaves open; may be repeated',
    collectDim,
    {},
  )
  .option('--json', 'print one JSON object')
  .action(
    handle((terminal, file: string, flags: { dim: Record<string, number> }) =>
      inspectCommand(file, flags, terminal),
    ),
  );

program
  .command('cut')
  .description('cut an ONNX file into two valid ones')
  .argument('<file>', 'FILE.onnx')
  .option(
    '--at <tensor>',
    'a tensor that crosses the cut (`tierwise inspect` lists them); may be repeated',
    collect,
    [],
  )
  .requiredOption('-o, --output <folder>', 'where head.onnx and tail.onnx are written')
  .option('--json', 'print one JSON object')
  .action(handle((terminal, file: string, flags: CutFlags) => cutCommand(file, flags, terminal)));

program
  .command('plan')
  .description('the Plan that each strategy makes of a bundle, and what it predicts')
  .argument('<bundle>', 'NAME.tierwise')
  .option('--strategy <name>', `one of: ${Object.keys(strategies).join(', ')}; default all of them`)
  .option('--link <name>', `one of: ${linkNames.join(', ')}`, 'fast-4g')
  .option('--device-gflops <x>', 'speed of the device, multiply and add counted apart', real(0.001, 1e6), 2)
  .option('--edge-gflops <x>', 'speed of the edge', real(0.001, 1e6), 20)
  .option('--raw-input', 'the picture itself may leave the device', false)
  .option('--json', 'print one JSON object')
  .action(handle((terminal, bundle: string, flags: PlanFlags) => planCommand(bundle, flags, terminal)));

program
  .command('edge')
  .description('serve bundles, and a site beside them')
  .option('--models <folder>', 'folder of NAME.tierwise bundles', 'models')
  .option('--host <address>', 'address to listen on; loopback unless you say otherwise', '127.0.0.1')
  .option('--port <n>', '0 takes any free one', whole(0), 8700)
  .option('--site <folder>', 'files served at /')
  .option('--workers <n>', 'threads that compute', whole(1), Math.max(1, availableParallelism() - 1))
  .option(
    '--allow-origin <origin>',
    'another origin whose pages may use this edge; may be repeated',
    collect,
    [],
  )
  .option('--keep-days <n>', 'answer for replaced models, whose pages may be cached, this long', whole(0), 30)
  .option('--token-file <file>', 'tokens, one a line; inference and metrics then take one of them only')
  .option(
    '--audit',
    'count samples that pages are sure of and send with consent, to check the threshold',
    false,
  )
  .option('--queue-limit <n>', 'samples that may wait; more are refused', whole(0), 64)
  .option('--max-batch <n>', 'samples of several requests that one run may hold', whole(1), 32)
  .option('--body-limit <bytes>', 'largest request', whole(1024), 16 * 2 ** 20)
  .option('--drain-ms <n>', 'time that requests have to finish when the edge is ended', whole(0), 10_000)
  .addOption(
    new Option('--log-level <level>', 'lines of JSON on stderr; info has one for each request')
      .choices(logLevels)
      .default('warn'),
  )
  .option('--json', 'print one JSON object when it serves')
  .action(handle((terminal, flags: EdgeFlags) => edgeCommand(flags, terminal)));

program
  .command('run')
  .description('classify pictures with this machine as the device')
  .argument('<bundle>', 'NAME.tierwise, or the address of one that an edge serves')
  .argument('<image...>', 'PNG, JPEG, WebP, ...')
  .option('--edge <url>', 'where unsure pictures are finished')
  .option('--strategy <name>', 'lcdnn, device-only or edge-only', 'lcdnn')
  .option('--threshold <x>', "entropy below which the device answers, instead of the bundle's", real(0, 1.01))
  .option('--json', 'print one JSON object')
  .action(
    handle((terminal, bundle: string, images: string[], flags: RunFlags) =>
      runCommand(bundle, images, flags, terminal, untilCtrlC()),
    ),
  );

program
  .command('bench')
  .description('measure a figure of the README here, rivals in the same run')
  .argument('<name>', 'kernels, branch, first-answer, edge, wire, plan, train, table1 or fig13')
  .option('--case <name>', 'only this case; may be repeated', collect, [])
  .option('--runs <n>', 'samples of each contestant, instead of as many as fit the time', whole(1))
  .option('--html <file>', 'write a report with charts')
  .option('--json', 'print one JSON object')
  .action(
    handle((terminal, name: string, flags: BenchFlags) => benchCommand(name, flags, terminal, untilCtrlC())),
  );

program
  .command('doctor')
  .description('say what this machine has and lacks')
  .option('--json', 'print one JSON object')
  .action(handle((terminal) => doctorCommand(terminal)));

// `tierwise inspect ... | head` ends when nobody reads any more.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : 2;
}
