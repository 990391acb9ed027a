// From a run folder to its dataset and back. Inside the folder that holds .thaw a dataset's path is relative, so a moved workspace still works.
import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ThawError } from '../protocol/errors.js';
import type { RunRecord } from '../protocol/run.js';

/** The folder that holds `.thaw` for a runs folder `<folder>/.thaw/runs`; undefined for a runs folder elsewhere. */
export function workspaceOf(runsFolder: string): string | undefined {
  const thaw = path.dirname(runsFolder);
  return path.basename(runsFolder) === 'runs' && path.basename(thaw) === '.thaw' ? path.dirname(thaw) : undefined;
}

/**
 * Absolute path of a run's dataset.
 * @throws ThawError `dataset-outside` when a relative path leads out of the workspace
 */
export function datasetFolder(runDirectory: string, record: RunRecord): string {
  const stored = record.dataset.path;
  if (path.isAbsolute(stored)) return stored;
  const workspace = workspaceOf(path.dirname(runDirectory));
  const folder = workspace === undefined ? undefined : path.resolve(workspace, stored);
  if (workspace === undefined || folder === undefined || !(folder === workspace || folder.startsWith(workspace + path.sep))) {
    throw new ThawError('input', 'dataset-outside', `The run's dataset ${JSON.stringify(stored)} lies outside its workspace`, 'Train again on the dataset folder itself');
  }
  return folder;
}

/** How a run records its dataset: relative to the workspace when inside it, else absolute; `/` between the parts. */
export function storedDatasetPath(dataset: string, runsFolder: string): string {
  const workspace = workspaceOf(runsFolder);
  if (workspace !== undefined) {
    const relative = path.relative(workspace, dataset);
    if (!relative.startsWith('..') && !path.isAbsolute(relative)) return relative === '' ? '.' : relative.split(path.sep).join('/');
  }
  return dataset;
}

/**
 * Where `thaw train` puts the runs of a dataset: the nearest folder above it that already is a workspace, else the folder it lies in. A home folder holds
 * the editor's own `.vscode`, and often a `.git` of settings: these two don't make it one.
 */
export function defaultWorkspace(dataset: string, home: string = os.homedir()): string {
  const parent = path.dirname(dataset);
  for (let folder = parent; ; folder = path.dirname(folder)) {
    const marks = folder === home ? ['.thaw'] : ['.thaw', '.git', '.vscode'];
    if (marks.some((mark) => existsSync(path.join(folder, mark)))) return folder;
    if (path.dirname(folder) === folder) return parent;
  }
}
