// Offers the workspace's image folders to a command that was given none.
import path from 'node:path';
import * as vscode from 'vscode';
import { formatCount } from '../metrics/format.js';
import { imagesText } from './datasetSearch.js';
import { plainName } from './plainText.js';
import type { Services } from './services.js';

/** How long only what was found is waited for, milliseconds. */
const EARLY_MS = 700;

/** Offers the workspace's image folders, found and not typed; a folder dialog for what the search did not reach. */
export async function pickDataset(services: Services, title: string): Promise<string | undefined> {
  const picker = vscode.window.createQuickPick<vscode.QuickPickItem & { root?: string }>();
  picker.title = title;
  picker.placeholder = vscode.l10n.t('A folder with one subfolder of images per class');
  picker.matchOnDescription = true;
  picker.busy = true;
  const browse: vscode.QuickPickItem = { label: `$(folder-opened) ${vscode.l10n.t('Choose a folder…')}`, alwaysShow: true };
  picker.show();
  // A row that could be chosen already stays where it is, and active: else what is found takes its place under the pointer, and is trained on.
  const early = setTimeout(() => { picker.items = [browse]; }, EARLY_MS);
  void services.datasets.all().then((datasets) => {
    clearTimeout(early);
    const wasEarly = picker.items.length > 0;
    const found = datasets.map(({ root, classes, ...counted }) => ({
      label: plainName(path.basename(root)),
      description: plainName(vscode.workspace.asRelativePath(root)),
      detail: vscode.l10n.t('{0}, {1} classes', imagesText(counted, vscode.l10n), formatCount(classes.length)),
      root,
    }));
    picker.items = wasEarly ? [browse, ...found] : [...found, browse];
    if (wasEarly) picker.activeItems = [browse];
    picker.busy = false;
  });
  try {
    const chosen = await new Promise<(vscode.QuickPickItem & { root?: string }) | undefined>((resolve) => {
      picker.onDidAccept(() => resolve(picker.selectedItems[0]));
      picker.onDidHide(() => resolve(undefined));
    });
    if (chosen === undefined || chosen.root !== undefined) return chosen?.root;
  } finally {
    clearTimeout(early);
    picker.dispose();
  }
  const [first] = vscode.workspace.workspaceFolders ?? [];
  const folders = await vscode.window.showOpenDialog({
    canSelectFiles: false, canSelectFolders: true, openLabel: vscode.l10n.t('Choose'), ...(first && { defaultUri: first.uri }),
  });
  return folders?.[0]?.fsPath;
}
