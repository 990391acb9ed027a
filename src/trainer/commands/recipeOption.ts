// The options --recipe, --set, --epochs and --batch: which recipe a run uses.
import path from 'node:path';
import { ThawError } from '../../protocol/errors.js';
import type { BackboneName, Recipe, Strategy } from '../../protocol/run.js';
import { readRecipeFile, setField } from '../../training/recipeFile.js';
import { fittingStrategies, RECIPE_NAMES, recipeNamed, requireFit, strategiesOf, withOptions } from '../../training/recipes.js';
import { wholeNumber } from './command.js';

export interface RecipeValues {
  /** A name, or a file. */
  readonly recipe?: string | undefined;
  readonly set?: readonly string[] | undefined;
  readonly epochs?: string | undefined;
  readonly batch?: string | undefined;
}

/** The recipe that is asked for, `--set` after `--epochs` and `--batch`. One whose fields were set says so in its name. @throws ThawError as readRecipeFile, setField and requireFit */
export async function recipeOf(values: RecipeValues, strategy: Strategy, backbone: BackboneName): Promise<Recipe> {
  const asked = values.recipe ?? 'default';
  const name = RECIPE_NAMES.find((known) => known === asked);
  let recipe = name === undefined ? await readRecipeFile(path.resolve(asked)) : recipeNamed(name, strategy, backbone);
  const options = { epochs: wholeNumber(values.epochs, '--epochs', 1, 1000), batch: wholeNumber(values.batch, '--batch', 1, 4096) };
  if (options.epochs !== undefined || options.batch !== undefined) recipe = withOptions(recipe, options);
  const given = recipe.name;
  for (const assignment of values.set ?? []) recipe = setField(recipe, assignment);
  requireFit(recipe, strategy);
  return (values.set ?? []).length > 0 && recipe.name === given ? { ...recipe, name: `${given.slice(0, 54)}, changed` } : recipe;
}

/** The recipe for each strategy that it is meant for: all of one by its name, those that a file fits. @throws ThawError as readRecipeFile */
export async function recipesOf(asked: string | undefined, backbone: BackboneName): Promise<readonly { readonly strategy: Strategy; readonly recipe: Recipe }[]> {
  const name = RECIPE_NAMES.find((known) => known === (asked ?? 'default'));
  if (name !== undefined) return strategiesOf(name).map((strategy) => ({ strategy, recipe: recipeNamed(name, strategy, backbone) }));
  const recipe = await readRecipeFile(path.resolve(asked ?? ''));
  return fittingStrategies(recipe).map((strategy) => ({ strategy, recipe }));
}

/** @throws ThawError `bad-arguments` for a name that no recipe of ours has */
export function recipeName(name: string): (typeof RECIPE_NAMES)[number] {
  const found = RECIPE_NAMES.find((known) => known === name);
  if (found === undefined) throw new ThawError('input', 'bad-arguments', `There is no recipe called ${JSON.stringify(name)}`, `Use one of: ${RECIPE_NAMES.join(', ')}`);
  return found;
}
