import { Command, CommanderError, type Option } from 'commander';
import { addAttach } from './commands/attach.ts';
import { addBench } from './commands/bench.ts';
import { addBranch } from './commands/branch.ts';
import { addCut } from './commands/cut.ts';
import { addDoctor } from './commands/doctor.ts';
import { addEdge } from './commands/edge.ts';
import { addEval } from './commands/eval.ts';
import { addInspect } from './commands/inspect.ts';
import { addLeakage } from './commands/leakage.ts';
import { addPlan } from './commands/plan.ts';
import { addRejection } from './commands/rejection.ts';
import { addRun } from './commands/run.ts';
import { addThreshold } from './commands/threshold.ts';
import { addTrain } from './commands/train.ts';

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

// In the order of `tierwise --help`.
for (const add of [
  addTrain,
  addAttach,
  addEval,
  addLeakage,
  addThreshold,
  addRejection,
  addBranch,
  addInspect,
  addCut,
  addPlan,
  addEdge,
  addRun,
  addBench,
  addDoctor,
])
  add(program);

// `tierwise inspect ... | head` ends when nobody reads any more.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : 2;
}
