// `thaw stop`: asks a run to stop at its next batch, and waits until it has.
import { parseArgs } from 'node:util';
import { EXIT } from '../../protocol/errors.js';
import { stopRun } from '../../runs/stopRun.js';
import { findRun, requiredArgument, type Command } from './command.js';

export const stopCommand: Command = async (args) => {
  const { positionals } = parseArgs({ args: [...args], allowPositionals: true, options: {} });
  const directory = findRun(requiredArgument(positionals, 0, 'RUN'));
  const outcome = await stopRun(directory);
  process.stdout.write({
    stopped: `Stopped ${directory}\n`,
    killed: `Ended ${directory}: it did not answer in time\n`,
    'not-running': `${directory} is not running\n`,
  }[outcome]);
  return EXIT.done;
};
