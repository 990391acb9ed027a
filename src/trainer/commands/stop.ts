// `thaw stop`: asks a run to stop at its next batch, and waits until it has.
import { parseArgs } from 'node:util';
import { EXIT } from '../../protocol/errors.js';
import { stopRun } from '../../runs/stopRun.js';
import { findRun, printLines, requiredArgument, type Command } from './command.js';

export const stopCommand: Command = async (args) => {
  const { positionals } = parseArgs({ args: [...args], allowPositionals: true, options: {} });
  const directory = findRun(requiredArgument(positionals, 0, 'RUN'));
  const outcome = await stopRun(directory);
  printLines([{
    stopped: `Stopped ${directory}`,
    killed: `Ended ${directory}: it did not answer in time`,
    'not-running': `${directory} is not running`,
  }[outcome]]);
  return EXIT.done;
};
