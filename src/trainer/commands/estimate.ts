// `thaw estimate`: how long each strategy would take on a folder.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { formatCount } from '../../metrics/format.js';
import { EXIT } from '../../protocol/errors.js';
import { estimate } from '../estimate.js';
import { printJson, requiredArgument, type Command } from './command.js';
import { colourOf, pretrainedOf } from './pretrained.js';

export const estimateCommand: Command = async (args) => {
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: { backbone: { type: 'string' }, weights: { type: 'string' }, colour: { type: 'string', default: 'rgb' }, json: { type: 'boolean', default: false } } });
  const measured = await estimate(path.resolve(requiredArgument(positionals, 0, 'FOLDER')), { ...pretrainedOf(values), colour: colourOf(values.colour) }, process.env);
  if (values.json) {
    printJson(measured);
  } else {
    process.stdout.write(`${formatCount(measured.images)} images on ${measured.device}, by the default recipe, measured on two batches\n`
      + `  freeze    about ${inWords(measured.freeze.seconds)}\n  finetune  about ${inWords(measured.finetune.seconds)}\n  scratch   about ${inWords(measured.scratch.seconds)}\n`);
  }
  return EXIT.done;
};

function inWords(seconds: number): string {
  return seconds < 90 ? `${String(Math.max(1, Math.round(seconds)))} s` : `${String(Math.round(seconds / 60))} min`;
}
