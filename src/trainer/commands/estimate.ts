// `thaw estimate`: how long each strategy would take on a folder.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { formatCount } from '../../metrics/format.js';
import { EXIT } from '../../protocol/errors.js';
import { estimate } from '../estimate.js';
import { printJson, printLines, requiredArgument, type Command } from './command.js';
import { colourOf, pretrainedOf } from './pretrained.js';
import { recipesOf } from './recipeOption.js';

export const estimateCommand: Command = async (args) => {
  const { values, positionals } = parseArgs({
    args: [...args], allowPositionals: true,
    options: { backbone: { type: 'string' }, weights: { type: 'string' }, colour: { type: 'string', default: 'rgb' }, recipe: { type: 'string' }, json: { type: 'boolean', default: false } },
  });
  const pretrained = pretrainedOf(values);
  const recipes = await recipesOf(values.recipe, pretrained.backbone);
  const measured = await estimate(path.resolve(requiredArgument(positionals, 0, 'FOLDER')), { ...pretrained, colour: colourOf(values.colour) }, recipes.map(({ recipe }) => recipe), process.env);
  const seconds = recipes.map(({ strategy }, index) => [strategy, measured.seconds[index] ?? NaN] as const);
  if (values.json) {
    printJson({ ...Object.fromEntries(seconds.map(([strategy, each]) => [strategy, { seconds: each }])), recipe: values.recipe ?? 'default', device: measured.device, images: measured.images });
  } else {
    printLines([
      `${formatCount(measured.images)} images on ${measured.device}, by the recipe ${values.recipe ?? 'default'}, measured on a few batches`,
      ...seconds.map(([strategy, each]) => `  ${strategy.padEnd(10)}about ${inWords(each)}`),
    ]);
  }
  return EXIT.done;
};

function inWords(seconds: number): string {
  return seconds < 90 ? `${String(Math.max(1, Math.round(seconds)))} s` : `${String(Math.round(seconds / 60))} min`;
}
