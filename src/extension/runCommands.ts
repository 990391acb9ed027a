// Open Run, Compare Runs…, Stop Training, Delete Run, Reveal Run Folder, Show Log. In Restricted Mode too: a trainer must be possible to stop, and what
// is deleted the person has named and confirmed; neither goes through a link.
import { lstat } from 'node:fs/promises';
import path from 'node:path';
import * as vscode from 'vscode';
import { ThawError } from '../protocol/errors.js';
import { deleteRun } from '../runs/deleteRun.js';
import { stopRun } from '../runs/stopRun.js';
import { runDirectoryOf, selectedRuns } from './commandTarget.js';
import type { CommandHandlers } from './commandTable.js';
import { showRecipe } from './chooseRecipe.js';
import { pickRun, pickRunsToCompare } from './pickRuns.js';
import { isLive, isReadable, runTitle } from './runLabels.js';
import { plainName } from './plainText.js';
import type { Services } from './services.js';

export function register(_context: vscode.ExtensionContext, services: Services): CommandHandlers<'thaw.openRun' | 'thaw.showRecipe' | 'thaw.compareRuns' | 'thaw.stopTraining' | 'thaw.deleteRun' | 'thaw.revealRun' | 'thaw.showLog'> {
  /** The run given, when it is one of the open folders' runs; else one that the person picks. */
  const chosenRun = async (argument: unknown, title: string, wanted: Parameters<typeof pickRun>[2], none: string): Promise<string | undefined> => {
    const given = runDirectoryOf(argument);
    return given === undefined ? pickRun(services, title, wanted, none) : knownDirectory(services, given);
  };
  return {
    'thaw.openRun': async (argument) => {
      const directory = await chosenRun(argument, vscode.l10n.t('Open Run'), () => true, vscode.l10n.t('There is no run yet.'));
      if (directory !== undefined) services.panels.openRun(directory);
    },
    'thaw.showRecipe': async (argument) => {
      const directory = await chosenRun(argument, vscode.l10n.t('Show Recipe'), () => true, vscode.l10n.t('There is no run yet.'));
      const run = directory === undefined ? undefined : services.runs.get(directory);
      if (run !== undefined && isReadable(run)) await showRecipe(run.record.configuration.recipe, run.record.configuration.strategy);
    },
    'thaw.compareRuns': async (row, selection) => {
      const given = selectedRuns(row, selection);
      const chosen = given.length > 1 ? given : await pickRunsToCompare(services, given);
      if (chosen !== undefined && chosen.length > 0) services.panels.openComparison(chosen.map((directory) => knownDirectory(services, directory)));
    },
    'thaw.stopTraining': async (...args) => {
      await services.runs.whenComplete();
      const live = services.runs.live();
      // A row that was redrawn since the click arrives as nothing: what else trains is stopped by choice alone.
      const only = args.length === 0 && live.length === 1 ? live[0]?.directory : undefined;
      const directory = runDirectoryOf(args[0]) ?? only
        ?? await pickRun(services, vscode.l10n.t('Stop Training'), isLive, vscode.l10n.t('Nothing is training.'));
      if (directory !== undefined) await stopTraining(services, knownDirectory(services, directory));
    },
    'thaw.deleteRun': async (row, selection) => {
      const given = selectedRuns(row, selection);
      const picked = given.length > 0 ? undefined
        : await pickRun(services, vscode.l10n.t('Delete Run'), (run) => !isLive(run), vscode.l10n.t('There is no run to delete.'));
      const directories = picked === undefined ? given : [picked];
      if (directories.length > 0) await deleteRuns(services, directories.map((directory) => knownDirectory(services, directory)));
    },
    'thaw.revealRun': async (argument) => {
      const directory = await chosenRun(argument, vscode.l10n.t('Reveal Run Folder'), () => true, vscode.l10n.t('There is no run yet.'));
      if (directory !== undefined) await vscode.commands.executeCommand('revealInExplorer', vscode.Uri.file(directory));
    },
    'thaw.showLog': async (argument) => {
      const directory = runDirectoryOf(argument);
      if (directory === undefined) services.log.show();
      else await openRunFile(services, directory, 'trainer.log');
    },
  };
}

/**
 * A run folder named by an argument, if it is one of the open folders' runs.
 * @throws ThawError `no-such-run`
 */
export function knownDirectory(services: Services, directory: string): string {
  if (services.runs.workspaceFolderOf(directory) === undefined) {
    throw new ThawError('input', 'no-such-run', vscode.l10n.t('{0} is not a run of an open folder', plainName(directory)), vscode.l10n.t('Choose a run from the Runs view'));
  }
  return directory;
}

/** Asks the run to stop, and waits until it has. */
export async function stopTraining(services: Services, directory: string): Promise<void> {
  const workspace = services.runs.workspaceFolderOf(directory);
  if (workspace === undefined) return;
  const run = services.runs.get(directory);
  const outcome = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Window, title: vscode.l10n.t('Thaw: stopping') },
    () => stopRun(directory, { within: workspace }),
  );
  services.log.info(`Stop of ${path.basename(directory)}: ${outcome}`);
  if (outcome === 'not-running') {
    const title = run && isReadable(run) ? runTitle(run, services.l10n) : plainName(path.basename(directory));
    void vscode.window.showInformationMessage(vscode.l10n.t('{0} is not running.', title));
  }
}

async function deleteRuns(services: Services, directories: readonly string[]): Promise<void> {
  const titles = directories.map((directory) => {
    const run = services.runs.get(directory);
    return run && isReadable(run) ? `${runTitle(run, services.l10n)} (${path.basename(directory)})` : plainName(path.basename(directory));
  });
  const question = directories.length === 1 ? vscode.l10n.t('Delete {0}?', titles[0] ?? '') : vscode.l10n.t('Delete {0} runs?', directories.length);
  const detail = [...(directories.length === 1 ? [] : titles), vscode.l10n.t('Its weights and results go with it; the images stay.')].join('\n');
  const remove = vscode.l10n.t('Delete');
  if (await vscode.window.showWarningMessage(question, { modal: true, detail }, remove) !== remove) return;
  const failures: Error[] = [];
  for (const directory of directories) {
    const workspace = services.runs.workspaceFolderOf(directory);
    if (workspace === undefined) continue;
    try {
      await deleteRun(directory, { within: workspace, remove: moveToTrash });
    } catch (error) {
      if (error instanceof vscode.CancellationError) throw error;
      if (error instanceof ThawError && error.code === 'run-not-found') continue; // deleted meanwhile
      failures.push(error instanceof Error ? error : new Error(String(error)));
    }
  }
  const [first, ...others] = failures;
  for (const error of others) services.log.error(error);
  if (first !== undefined) throw first;
}

/** To the trash where there is one; where there is none, only after another question. */
async function moveToTrash(directory: string): Promise<void> {
  const uri = vscode.Uri.file(directory);
  try {
    await vscode.workspace.fs.delete(uri, { recursive: true, useTrash: true });
  } catch (error) {
    if (!(error instanceof vscode.FileSystemError) && !(error instanceof Error)) throw error;
    const forEver = vscode.l10n.t('Delete Permanently');
    const question = vscode.l10n.t('{0} can\'t be moved to the trash here. Delete it permanently?', plainName(path.basename(directory)));
    if (await vscode.window.showWarningMessage(question, { modal: true }, forEver) !== forEver) throw new vscode.CancellationError();
    await vscode.workspace.fs.delete(uri, { recursive: true, useTrash: false });
  }
}

/** Opens a file of a run folder beside nothing else: a plain file there, never what a link points to. */
export async function openRunFile(services: Services, directory: string, name: 'trainer.log' | 'run.json'): Promise<void> {
  await openPlainFile(path.join(knownDirectory(services, directory), name));
}

/** Opens a plain file, never what a link points to. */
export async function openPlainFile(file: string): Promise<void> {
  const found = await lstat(file).catch(() => undefined);
  if (found?.isFile() !== true) {
    throw new ThawError('run', 'no-such-file', vscode.l10n.t('The run has no {0}', path.basename(file)), vscode.l10n.t('Show the log of Thaw itself for what happened'));
  }
  await vscode.window.showTextDocument(vscode.Uri.file(file), { preview: true });
}
