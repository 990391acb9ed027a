// `thaw doctor`: what is here, what is missing, what to do.
import { parseArgs } from 'node:util';
import { EXIT } from '../../protocol/errors.js';
import { examine, withoutPaths } from '../doctor.js';
import { printJson, printLines, type Command } from './command.js';

export const doctorCommand: Command = async (args) => {
  const { values } = parseArgs({ args: [...args], options: { json: { type: 'boolean', default: false }, paths: { type: 'boolean', default: false } } });
  const found = await examine(process.env);
  const checks = values.paths ? found : withoutPaths(found, process.env);
  if (values.json) {
    printJson({ checks });
  } else {
    const width = Math.max(...checks.map(({ name }) => name.length));
    for (const { name, state, detail } of checks) printLines([`${{ ok: '✓', warning: '!', missing: '✗' }[state]} ${name.padEnd(width)}  ${detail}`]);
  }
  return checks.some(({ state }) => state === 'missing') ? EXIT.engineNotReady : EXIT.done;
};
