// Quick picks of runs: one for a command without an argument, several to compare.
import * as vscode from 'vscode';
import type { RunSnapshot } from '../protocol/snapshot.js';
import { groupRuns, isReadable, runRow } from './runLabels.js';
import type { Services } from './services.js';

type RunItem = vscode.QuickPickItem & { readonly directory?: string };

/** Rows under the name of their dataset, newest first, with the marks of the tree. */
function items(services: Services, wanted: (run: RunSnapshot) => boolean, picked: ReadonlySet<string> = new Set()): RunItem[] {
  const runs = services.runs.all().filter(isReadable).filter(wanted);
  return groupRuns(runs, (directory) => services.runs.workspaceFolderOf(directory) ?? '').flatMap((group) => [
    { label: group.name ?? '', kind: vscode.QuickPickItemKind.Separator },
    ...group.runs.map((run) => {
      const row = runRow(run, services.l10n);
      return { label: `$(${row.icon}) ${row.label}`, description: row.description, detail: isReadable(run) ? createdText(run) : '', directory: run.directory, picked: picked.has(run.directory) };
    }),
  ]);
}

function createdText(run: RunSnapshot): string {
  return new Date(run.record.createdAt).toLocaleString(vscode.env.language);
}

/** One run among those wanted, or undefined; `none` is said when there is none. `best`: the folder of the run that stands first. */
export async function pickRun(services: Services, title: string, wanted: (run: RunSnapshot) => boolean, none: string, best?: string): Promise<string | undefined> {
  await services.runs.whenComplete();
  const all = items(services, wanted);
  const first = best === undefined ? undefined : all.find(({ directory }) => directory === best);
  const rows = first === undefined ? all : [{ label: vscode.l10n.t('best'), kind: vscode.QuickPickItemKind.Separator }, first, ...all.filter((row) => row !== first)];
  if (rows.length === 0) {
    void vscode.window.showInformationMessage(none);
    return undefined;
  }
  return (await vscode.window.showQuickPick(rows, { title, matchOnDescription: true, matchOnDetail: true }))?.directory;
}

/** Runs that have ended an epoch, several; `picked` are ticked already. */
export async function pickRunsToCompare(services: Services, picked: readonly string[]): Promise<string[] | undefined> {
  await services.runs.whenComplete();
  const rows = items(services, ({ epochs }) => epochs.length > 0, new Set(picked));
  if (rows.length === 0) {
    void vscode.window.showInformationMessage(vscode.l10n.t('There is no run to compare yet.'));
    return undefined;
  }
  const chosen = await vscode.window.showQuickPick(rows, {
    title: vscode.l10n.t('Compare Runs'), placeHolder: vscode.l10n.t('Two or more runs'), canPickMany: true, matchOnDescription: true, matchOnDetail: true,
  });
  return chosen?.map(({ directory }) => directory).filter((directory) => directory !== undefined);
}
