// What a command was invoked on. Arguments come from menus, trees, key bindings and other extensions, so each is looked at before it is used.
import * as vscode from 'vscode';

/** A row of the Datasets view that can be trained on. */
export class DatasetTarget {
  constructor(readonly root: string) {}
}

/** A row of the Runs view. */
export class RunTarget {
  constructor(readonly directory: string) {}
}

/** The folder that a training command is about: an explorer resource, a dataset row, or nothing. */
export function folderOf(argument: unknown): string | undefined {
  return argument instanceof DatasetTarget ? argument.root : resourceOf(argument);
}

/** The path of a file or folder of the explorer. */
export function resourceOf(argument: unknown): string | undefined {
  if (argument instanceof vscode.Uri && (argument.scheme === 'file' || argument.scheme === 'vscode-remote')) return argument.fsPath;
  return undefined;
}

/** The run folder that a command is about: a row, or the path that another command passes on. */
export function runDirectoryOf(argument: unknown): string | undefined {
  if (argument instanceof RunTarget) return argument.directory;
  return typeof argument === 'string' ? argument : undefined;
}

/** The rows that a command from a context menu is about: VS Code passes the row, and all selected rows when there are more. */
export function selectedRuns(row: unknown, selection: unknown): string[] {
  const rows = Array.isArray(selection) && selection.length > 0 ? selection as readonly unknown[] : [row];
  return [...new Set(rows.map(runDirectoryOf).filter((directory) => directory !== undefined))];
}
