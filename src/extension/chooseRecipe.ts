// Which recipe a run uses: one of Thaw's, or a file of the workspace. Chosen in Train on Folder, remembered for this workspace; shown as a file that
// can be changed and saved.
import { existsSync } from 'node:fs';
import path from 'node:path';
import * as v from 'valibot';
import * as vscode from 'vscode';
import { ThawError } from '../protocol/errors.js';
import { STRATEGIES, type BackboneName, type Recipe, type Strategy } from '../protocol/run.js';
import { readRecipeFile } from '../training/recipeFile.js';
import { fittingStrategies, RECIPE_NAMES, recipeNamed, requireFit, strategiesOf, type RecipeName } from '../training/recipes.js';
import { reportError } from './errorReport.js';
import { plainName, plainText } from './plainText.js';
import { localFolders } from './runStore.js';
import type { Services } from './services.js';

/** The end of the name of a recipe's file: what the search looks for, and what the editor checks against the schema. */
export const RECIPE_FILE_END = '.recipe.json';

/** One of Thaw's recipes by its name, or a file. */
export type RecipeChoice = { readonly name: RecipeName } | { readonly file: string };

export const DEFAULT_RECIPE: RecipeChoice = { name: 'default' };

const KEY = 'recipe';
const remembered = v.union([v.strictObject({ name: v.picklist(RECIPE_NAMES) }), v.strictObject({ file: v.string() })]);
/** More recipes than a person keeps. */
const MOST_FILES = 100;

/** What was last chosen in this workspace, else the default. A file that has gone, or can't be used any more, is said once and forgotten. */
export async function rememberedRecipe(services: Services, memory: vscode.Memento): Promise<RecipeChoice> {
  const parsed = v.safeParse(remembered, memory.get(KEY));
  if (!parsed.success) return DEFAULT_RECIPE;
  if ('name' in parsed.output) return parsed.output;
  try {
    await readRecipeFile(parsed.output.file);
    return parsed.output;
  } catch (error) {
    await memory.update(KEY, undefined);
    const reason = error instanceof Error ? error.message : String(error);
    reportError(services.log, new ThawError('input', 'recipe-gone', `The recipe chosen before can't be used any more: ${reason}`, 'Thaw\'s default is used now; choose another in Train on Folder…', { cause: error }));
    return DEFAULT_RECIPE;
  }
}

/** `default`, or the name of a file. */
export function recipeName(choice: RecipeChoice): string {
  return 'name' in choice ? choice.name : plainName(path.basename(choice.file));
}

/** Arguments of `thaw` that mean this recipe. */
export function recipeArguments(choice: RecipeChoice): string[] {
  return ['--recipe', 'name' in choice ? choice.name : choice.file];
}

/**
 * The recipe for a strategy.
 * @throws ThawError as readRecipeFile, and `unfit-recipe` for a file that is meant for another strategy
 */
export async function recipeFor(choice: RecipeChoice, strategy: Strategy, backbone: BackboneName): Promise<Recipe> {
  if ('name' in choice) return recipeNamed(choice.name, strategy, backbone);
  const recipe = await readRecipeFile(choice.file);
  requireFit(recipe, strategy);
  return recipe;
}

/** The strategies that the recipe is meant for. @throws ThawError as readRecipeFile */
export async function strategiesFor(choice: RecipeChoice): Promise<readonly Strategy[]> {
  return 'name' in choice ? strategiesOf(choice.name) : fittingStrategies(await readRecipeFile(choice.file));
}

interface RecipeItem extends vscode.QuickPickItem {
  readonly choice?: RecipeChoice;
  /** Why it can't be chosen. */
  readonly problem?: unknown;
}

/** Offers Thaw's recipes and the workspace's. `shown` when one was opened instead, undefined when the person changes their mind. */
export async function chooseRecipe(services: Services, memory: vscode.Memento, backbone: BackboneName): Promise<RecipeChoice | 'shown' | undefined> {
  const show: vscode.QuickInputButton = { iconPath: new vscode.ThemeIcon('edit'), tooltip: vscode.l10n.t('Show, to change and save a copy') };
  const picker = vscode.window.createQuickPick<RecipeItem>();
  try {
    picker.title = vscode.l10n.t('Recipe');
    picker.placeholder = vscode.l10n.t('How the layers learn: rates, epochs, batches, crops');
    picker.matchOnDescription = true;
    picker.items = [
      ...RECIPE_NAMES.map((name): RecipeItem => ({ label: name, detail: summaryOf(name), choice: { name }, buttons: [show] })),
      { label: vscode.l10n.t('In this workspace'), kind: vscode.QuickPickItemKind.Separator },
      ...await fileItems(),
      { label: `$(folder-opened) ${vscode.l10n.t('Choose a file…')}`, alwaysShow: true },
    ];
    picker.show();
    const item = await new Promise<{ readonly chosen?: RecipeItem; readonly shown?: RecipeItem }>((resolve) => {
      picker.onDidAccept(() => resolve({ ...(picker.selectedItems[0] && { chosen: picker.selectedItems[0] }) }));
      picker.onDidTriggerItemButton(({ item: shown }) => resolve({ shown }));
      picker.onDidHide(() => resolve({}));
    });
    picker.hide();
    if (item.shown?.choice !== undefined && 'name' in item.shown.choice) {
      await showNamedRecipe(item.shown.choice.name, backbone);
      return 'shown';
    }
    if (item.chosen === undefined) return undefined;
    if (item.chosen.problem !== undefined) {
      reportError(services.log, item.chosen.problem);
      return undefined;
    }
    const choice = item.chosen.choice ?? await chooseFile();
    if (choice !== undefined) await memory.update(KEY, choice);
    return choice;
  } finally {
    picker.dispose();
  }
}

function summaryOf(name: RecipeName): string {
  switch (name) {
    case 'default': return vscode.l10n.t('The best we know.');
    case 'fast': return vscode.l10n.t('A first look: fewer epochs of all layers.');
    case 'seed': return vscode.l10n.t('The study\'s own: SGD through the whole network, random resized crops. Slow.');
  }
}

async function fileItems(): Promise<RecipeItem[]> {
  const found = (await vscode.workspace.findFiles(`**/*${RECIPE_FILE_END}`, '**/{node_modules,.git}/**', MOST_FILES)).map(({ fsPath }) => fsPath).sort();
  return Promise.all(found.map(async (file): Promise<RecipeItem> => {
    const row = { label: plainName(path.basename(file)), description: plainName(vscode.workspace.asRelativePath(file)) };
    try {
      const recipe = await readRecipeFile(file);
      return { ...row, detail: vscode.l10n.t('{0}, for {1}', plainName(recipe.name), fittingStrategies(recipe).join(', ')), choice: { file } };
    } catch (problem) {
      return { ...row, detail: plainText(vscode.l10n.t('Can\'t be used: {0}', problem instanceof Error ? problem.message : String(problem))), problem };
    }
  }));
}

/** A file anywhere on this machine; it is read before it is taken. */
async function chooseFile(): Promise<RecipeChoice | undefined> {
  const [folder] = localFolders();
  const [chosen] = await vscode.window.showOpenDialog({
    openLabel: vscode.l10n.t('Use Recipe'), filters: { JSON: ['json'] }, ...(folder !== undefined && { defaultUri: vscode.Uri.file(folder) }),
  }) ?? [];
  if (chosen === undefined) return undefined;
  await readRecipeFile(chosen.fsPath);
  return { file: chosen.fsPath };
}

async function showNamedRecipe(name: RecipeName, backbone: BackboneName): Promise<void> {
  const strategy = await vscode.window.showQuickPick(strategiesOf(name).map((each) => ({ label: each })), { title: vscode.l10n.t('Recipe {0} for which strategy?', name) });
  const found = STRATEGIES.find((each) => each === strategy?.label);
  if (found !== undefined) await showRecipe(recipeNamed(name, found, backbone), `${name}-${found}`);
}

/**
 * Opens a recipe as an unsaved file: one that is saved in the workspace is offered with Thaw's own from then on.
 * @param name of the file, without its end
 */
export async function showRecipe(recipe: Recipe, name: string): Promise<void> {
  const content = `${JSON.stringify(recipe, undefined, 2)}\n`;
  const [folder] = localFolders();
  let document: vscode.TextDocument;
  if (folder === undefined) {
    document = await vscode.workspace.openTextDocument({ language: 'json', content });
  } else {
    document = await vscode.workspace.openTextDocument(vscode.Uri.file(freeFile(folder, name)).with({ scheme: 'untitled' }));
    const edit = new vscode.WorkspaceEdit();
    edit.replace(document.uri, new vscode.Range(0, 0, document.lineCount, 0), content);
    await vscode.workspace.applyEdit(edit);
  }
  await vscode.window.showTextDocument(document, { preview: false });
}

function freeFile(folder: string, name: string): string {
  for (let count = 1; ; count++) {
    const file = path.join(folder, `${name}${count === 1 ? '' : `-${String(count)}`}${RECIPE_FILE_END}`);
    if (!existsSync(file)) return file;
  }
}
