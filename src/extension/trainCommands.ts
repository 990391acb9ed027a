// Train on Folder…, Train with Freeze, Train with Finetune, Compare Freeze and Finetune: from a folder to a run under way.
import path from 'node:path';
import * as v from 'valibot';
import * as vscode from 'vscode';
import { STRATEGIES, type Colour, type Strategy } from '../protocol/run.js';
import { chooseColour, colourName, rememberedColour } from './chooseColour.js';
import { chooseRecipe, DEFAULT_RECIPE, recipeArguments, recipeFor, recipeName, rememberedRecipe, strategiesFor, type RecipeChoice } from './chooseRecipe.js';
import { chooseNetwork, networkArguments, networkName, rememberedNetwork, type Network } from './chooseNetwork.js';
import { runCli } from './cliProcess.js';
import { folderOf } from './commandTarget.js';
import type { CommandHandlers } from './commandTable.js';
import { reportError } from './errorReport.js';
import { pickDataset } from './pickDataset.js';
import { plainName } from './plainText.js';
import type { Services } from './services.js';
import { startRun, untilInLine, type RunRequest } from './startRun.js';
import { estimateSchema, questionBefore, strategyChoices, type Estimate, type EstimateState, type StrategyChoice } from './trainingPlan.js';
import { requireTrust } from './trust.js';

export function register(context: vscode.ExtensionContext, services: Services): CommandHandlers<'thaw.trainOnFolder' | 'thaw.trainWithFreeze' | 'thaw.trainWithFinetune' | 'thaw.compareFreezeAndFinetune'> {
  const remembered = (): Promise<Input> => rememberedInput(services, context.workspaceState);
  const trainWith = (strategy: Strategy) => async (argument: unknown): Promise<string | undefined> => {
    if (!await requireTrust()) return undefined;
    const folder = folderOf(argument) ?? await pickDataset(services, vscode.l10n.t('Train with {0}', strategy));
    if (folder === undefined || !await services.engine.ensureReady()) return undefined;
    const directory = await startRun(services, folder, await planned(strategy, await remembered()));
    services.panels.openRun(directory);
    return directory;
  };
  return {
    'thaw.trainWithFreeze': trainWith('freeze'),
    'thaw.trainWithFinetune': trainWith('finetune'),
    'thaw.trainOnFolder': async (argument) => {
      if (!await requireTrust()) return undefined;
      const folder = folderOf(argument) ?? await pickDataset(services, vscode.l10n.t('Train on Folder'));
      if (folder === undefined || !await services.engine.ensureReady()) return undefined;
      const chosen = await pickStrategy(services, folder, context.workspaceState);
      if (chosen === undefined) return undefined;
      const directory = await startRun(services, folder, await planned(chosen.strategy, chosen));
      services.panels.openRun(directory);
      return directory;
    },
    'thaw.compareFreezeAndFinetune': async (argument) => {
      if (!await requireTrust()) return undefined;
      const folder = folderOf(argument) ?? await pickDataset(services, vscode.l10n.t('Compare Freeze and Finetune'));
      if (folder === undefined || !await services.engine.ensureReady()) return undefined;
      const freeze = await startRun(services, folder, await planned('freeze', await remembered()));
      services.panels.openComparison([freeze]);
      if (!await untilInLine(services, freeze)) return [freeze];
      const finetune = await startRun(services, folder, await planned('finetune', await remembered())); // it waits in line for the device, and starts by itself
      services.panels.openComparison([freeze, finetune]);
      return [freeze, finetune];
    },
  };
}

/** What a run starts from and what it sees. */
interface Input {
  readonly network: Network;
  readonly colour: Colour;
  readonly recipe: RecipeChoice;
}

async function rememberedInput(services: Services, memory: vscode.Memento): Promise<Input> {
  return { network: rememberedNetwork(memory), colour: rememberedColour(memory), recipe: await rememberedRecipe(services, memory) };
}

type Other = 'another network' | 'another colour' | 'another recipe' | 'advice';

type Row = vscode.QuickPickItem & (Partial<StrategyChoice> | { readonly other: Other });

interface Plan extends Input {
  readonly strategy: Strategy;
}

/** What a strategy asked for by name does: by the recipe last chosen, or by the default where that one is a file for another strategy. */
async function planned(strategy: Strategy, { network, colour, recipe }: Input): Promise<RunRequest> {
  const fits = (await strategiesFor(recipe)).includes(strategy);
  return {
    strategy, colour,
    network: strategy === 'scratch' ? { backbone: network.backbone } : network, // what starts at random has no weights of anybody's
    recipe: await recipeFor(fits ? recipe : DEFAULT_RECIPE, strategy, network.backbone),
  };
}

/** Offers the strategies, each with when to choose it and how long it takes here, another network, and gray; asks again before a long run. */
async function pickStrategy(services: Services, folder: string, memory: vscode.Memento): Promise<Plan | undefined> {
  const estimates: Estimates = new Map();
  for (let input = await rememberedInput(services, memory); ;) {
    const strategies = await strategiesFor(input.recipe).catch((error: unknown) => {
      reportError(services.log, error);
      input = { ...input, recipe: DEFAULT_RECIPE };
      return STRATEGIES;
    });
    const chosen = await pickStrategyFor(services, folder, input, strategies, estimates);
    switch (chosen) {
      case undefined: return undefined;
      case 'advice':
        await vscode.commands.executeCommand('thaw.whichStrategy', vscode.Uri.file(folder));
        return undefined;
      case 'another network': input = { ...input, network: await chooseNetwork(services, memory) ?? input.network }; break;
      case 'another colour': input = { ...input, colour: await chooseColour(memory) ?? input.colour }; break;
      case 'another recipe': {
        const recipe = await chooseRecipe(services, memory, input.network.backbone);
        if (recipe === 'shown') return undefined;
        input = { ...input, recipe: recipe ?? input.recipe };
        break;
      }
      default: return { ...input, strategy: chosen };
    }
  }
}

/** What was measured while the person was choosing, by the input: who looks at the networks and keeps the one there was waits no second time. */
type Estimates = Map<string, Estimate>;

async function pickStrategyFor(
  services: Services, folder: string, input: Input, strategies: readonly Strategy[], estimates: Estimates,
): Promise<Strategy | Other | undefined> {
  const estimating = new AbortController();
  const key = JSON.stringify(input);
  const known = estimates.get(key);
  let estimate: EstimateState = known ?? 'estimating';
  const picker = vscode.window.createQuickPick<Row>();
  const rows = (): Row[] => [
    ...strategyChoices(strategies, estimate, vscode.l10n),
    { label: vscode.l10n.t('Which strategy?'), detail: vscode.l10n.t('Measures the images first, in half a minute, and says which to choose and why.'), other: 'advice' },
    { label: vscode.l10n.t('Network'), kind: vscode.QuickPickItemKind.Separator },
    { label: `$(chip) ${networkName(input.network)}`, description: vscode.l10n.t('choose another…'), other: 'another network', alwaysShow: true },
    { label: vscode.l10n.t('Images'), kind: vscode.QuickPickItemKind.Separator },
    { label: `$(symbol-color) ${colourName(input.colour)}`, description: vscode.l10n.t('colour or gray…'), other: 'another colour', alwaysShow: true },
    { label: vscode.l10n.t('Recipe'), kind: vscode.QuickPickItemKind.Separator },
    { label: `$(settings) ${recipeName(input.recipe)}`, description: vscode.l10n.t('choose another, or change it…'), other: 'another recipe', alwaysShow: true },
  ];
  const draw = (): void => {
    const active = picker.activeItems[0]?.label;
    picker.items = rows();
    const again = picker.items.find(({ label }) => label === active);
    if (again) picker.activeItems = [again];
    picker.busy = estimate === 'estimating';
  };
  const measured = known !== undefined ? Promise.resolve() : measure(services, folder, input, estimating.signal).then((result) => {
    estimate = result;
    if (estimating.signal.aborted) return;
    if (result !== 'unknown') estimates.set(key, result);
    draw();
  });
  try {
    picker.title = vscode.l10n.t('Train on {0}', plainName(path.basename(folder)));
    picker.placeholder = vscode.l10n.t('How the network learns');
    draw();
    picker.show();
    const row = await new Promise<Row | undefined>((resolve) => {
      picker.onDidAccept(() => resolve(picker.selectedItems[0]));
      picker.onDidHide(() => resolve(undefined));
    });
    picker.hide();
    if (row === undefined) return undefined;
    if ('other' in row) return row.other;
    const chosen = row.strategy;
    if (chosen === undefined || !await waitForEstimate(measured)) return undefined;
    const question = questionBefore(chosen, estimate, vscode.l10n);
    if (question === undefined) return chosen;
    const train = vscode.l10n.t('Train');
    return await vscode.window.showWarningMessage(question, { modal: true }, train) === train ? chosen : undefined;
  } finally {
    estimating.abort();
    picker.dispose();
  }
}

/** The person chose before the estimate was there: a run of hours must still be asked about. False when it is cancelled. */
async function waitForEstimate(measured: Promise<void>): Promise<boolean> {
  const title = vscode.l10n.t('Estimating how long it takes');
  return vscode.window.withProgress({ location: vscode.ProgressLocation.Notification, title, cancellable: true }, (_progress, token) => Promise.race([
    measured.then(() => true),
    new Promise<boolean>((resolve) => token.onCancellationRequested(() => resolve(false))),
  ]));
}

/** Never throws: a run can start without an estimate, and the run itself says what is wrong with the folder. */
async function measure(services: Services, folder: string, { network, colour, recipe }: Input, signal: AbortSignal): Promise<Estimate | 'unknown'> {
  try {
    const line = await runCli(services.installation, { arguments: ['estimate', folder, ...networkArguments(network), '--colour', colour, ...recipeArguments(recipe), '--json'], signal, onDiagnostic: (text) => services.log.info(text) });
    return v.parse(estimateSchema, line);
  } catch (error) {
    if (!signal.aborted) services.log.warn(`No estimate for ${folder}: ${error instanceof Error ? error.message : String(error)}`);
    return 'unknown';
  }
}
