// Manage Weights…: which pretrained weights there are, which of them are here; fetches one, or adds a file of one's own.
import path from 'node:path';
import * as v from 'valibot';
import * as vscode from 'vscode';
import { ThawError } from '../protocol/errors.js';
import { runCli } from './cliProcess.js';
import { CANCELLED, runCliWithProgress } from './cliProgress.js';
import type { CommandHandlers } from './commandTable.js';
import { plainName } from './plainText.js';
import type { Services } from './services.js';
import { weightsListSchema, weightsRow, type ListedWeights } from './weightsRows.js';

const addedLine = v.object({ type: v.literal('result'), name: v.string(), own: v.boolean(), classes: v.number() });

type Choice = vscode.QuickPickItem & { readonly weights?: ListedWeights; readonly add?: boolean };

export function register(_context: vscode.ExtensionContext, services: Services): CommandHandlers<'thaw.manageWeights'> {
  return {
    // With a file it is added at once. Returns the name of what was chosen, fetched or added.
    'thaw.manageWeights': async (argument) => {
      if (argument instanceof vscode.Uri && argument.scheme === 'file') return add(services, argument.fsPath);
      const choice = await choose(await listWeights(services));
      if (choice?.add === true) return addByDialog(services);
      const { weights } = choice ?? {};
      if (weights === undefined) return undefined;
      if (weights.present) {
        sayHere(weights);
        return weights.name;
      }
      if (weights.own) return addByDialog(services);
      if (!await fetchWeights(services, weights)) return undefined;
      void vscode.window.showInformationMessage(vscode.l10n.t('{0} is ready.', plainName(weights.title)));
      return weights.name;
    },
  };
}

/** All that `thaw weights list` knows of. */
export async function listWeights({ installation, log }: Services): Promise<ListedWeights[]> {
  const listed = await vscode.window.withProgress({ location: vscode.ProgressLocation.Window, title: vscode.l10n.t('Looking at the weights') },
    () => runCli(installation, { arguments: ['weights', 'list', '--json'], onDiagnostic: (line) => log.info(line) }));
  const parsed = v.safeParse(weightsListSchema, listed);
  if (!parsed.success) throw new ThawError('run', 'unreadable-report', vscode.l10n.t('thaw weights list ended without its list'), vscode.l10n.t('Show the log for what it said'));
  return parsed.output;
}

async function choose(weights: readonly ListedWeights[]): Promise<Choice | undefined> {
  const rowsOf = (own: boolean): Choice[] => weights.filter((entry) => entry.own === own).map((entry) => ({ ...weightsRow(entry, vscode.l10n), weights: entry }));
  const own = rowsOf(true);
  const rows: Choice[] = [
    { label: vscode.l10n.t('Published, trained on ImageNet'), kind: vscode.QuickPickItemKind.Separator },
    ...rowsOf(false),
    { label: vscode.l10n.t('Your own'), kind: vscode.QuickPickItemKind.Separator },
    ...own,
    { label: `$(add) ${vscode.l10n.t('Add a file…')}`, detail: vscode.l10n.t('A PyTorch checkpoint (.pth) or a .safetensors file of one of these networks'), add: true, alwaysShow: true },
  ];
  return vscode.window.showQuickPick(rows, {
    title: vscode.l10n.t('Manage Weights'), placeHolder: vscode.l10n.t('Weights to fetch, or to read about'), matchOnDescription: true, matchOnDetail: true,
  });
}

/** What to do with weights that are here. Nobody waits for the answer. */
function sayHere({ name, title, own }: ListedWeights): void {
  const copy = vscode.l10n.t('Copy Name');
  const use = own ? `--weights ${name}` : `--backbone ${name}`;
  void vscode.window.showInformationMessage(vscode.l10n.t('{0} is on this machine. Choose it in Train on Folder, or in a terminal by {1}.', plainName(title), use), copy).then((chosen) => {
    if (chosen === copy) void vscode.env.clipboard.writeText(name);
  });
}

/** Fetches published weights; false when the person cancels. */
export async function fetchWeights({ installation, log }: Services, { name }: ListedWeights): Promise<boolean> {
  return await runCliWithProgress(installation, log, vscode.l10n.t('Fetching weights'), ['weights', 'get', name, '--json']) !== CANCELLED;
}

async function addByDialog(services: Services): Promise<string | undefined> {
  const files = await vscode.window.showOpenDialog({
    canSelectFiles: true, canSelectFolders: false, openLabel: vscode.l10n.t('Add'), title: vscode.l10n.t('Add Weights'),
    filters: { [vscode.l10n.t('Weights')]: ['pth', 'pt', 'bin', 'safetensors'] },
  });
  const file = files?.[0]?.fsPath;
  return file === undefined ? undefined : add(services, file);
}

async function add({ installation, log }: Services, file: string): Promise<string | undefined> {
  const title = vscode.l10n.t('Reading {0}', plainName(path.basename(file)));
  const outcome = await runCliWithProgress(installation, log, title, ['weights', 'add', file, '--json']);
  if (outcome === CANCELLED) return undefined;
  const parsed = v.safeParse(addedLine, outcome);
  if (!parsed.success) throw new ThawError('run', 'unreadable-report', vscode.l10n.t('thaw weights add ended without saying what it added'), vscode.l10n.t('Show the log for what it said'));
  const { name, own } = parsed.output;
  void vscode.window.showInformationMessage(own
    ? vscode.l10n.t('Added as {0}. Choose it in Train on Folder, or in a terminal by {1}.', name, `--weights ${name}`)
    : vscode.l10n.t('Added: these are the published weights of {0}.', name));
  return name;
}
