// `thaw recipes`: which recipes there are, and what is in one, in the form that `thaw train --recipe FILE` reads.
import { parseArgs } from 'node:util';
import { EXIT, ThawError } from '../../protocol/errors.js';
import { STRATEGIES, type Recipe, type Strategy } from '../../protocol/run.js';
import { RECIPE_NAMES, RECIPE_SUMMARIES, recipeNamed, strategiesOf } from '../../training/recipes.js';
import { printJson, type Command } from './command.js';
import { pretrainedOf } from './pretrained.js';
import { recipeName } from './recipeOption.js';

export const recipesCommand: Command = (args) => {
  const { values, positionals } = parseArgs({
    args: [...args], allowPositionals: true,
    options: { strategy: { type: 'string' }, backbone: { type: 'string' }, json: { type: 'boolean', default: false } },
  });
  const { backbone } = pretrainedOf({ backbone: values.backbone });
  const strategies = values.strategy === undefined ? STRATEGIES : [strategyOf(values.strategy)];
  const recipesOf = (name: (typeof RECIPE_NAMES)[number]): Partial<Record<Strategy, Recipe>> => (
    Object.fromEntries(strategies.filter((strategy) => strategiesOf(name).includes(strategy)).map((strategy) => [strategy, recipeNamed(name, strategy, backbone)])));
  const [asked] = positionals;
  if (asked === undefined) {
    const rows = RECIPE_NAMES.map((name) => ({ name, summary: RECIPE_SUMMARIES[name] }));
    if (values.json) printJson(rows.map((row) => ({ ...row, backbone, recipes: recipesOf(row.name) })));
    else process.stdout.write(rows.map(({ name, summary }) => `${name.padEnd(9)}${summary}\n`).join(''));
    return Promise.resolve(EXIT.done);
  }
  const name = recipeName(asked);
  const recipes = recipesOf(name);
  if (values.json) {
    printJson({ name, summary: RECIPE_SUMMARIES[name], backbone, recipes });
  } else {
    // Of one strategy it is a recipe file, nothing else.
    const only = strategies.length === 1 ? strategies[0] : undefined;
    process.stdout.write(`${JSON.stringify(only === undefined ? recipes : recipeNamed(name, only, backbone), undefined, 2)}\n`);
  }
  return Promise.resolve(EXIT.done);
};

function strategyOf(text: string): Strategy {
  const strategy = STRATEGIES.find((known) => known === text);
  if (strategy === undefined) throw new ThawError('input', 'bad-arguments', `--strategy ${JSON.stringify(text)} is unknown`, `Use --strategy ${STRATEGIES.join(' or --strategy ')}`);
  return strategy;
}
