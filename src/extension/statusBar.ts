// The status bar: one item while something trains, with the epoch; it opens the panel.
import * as vscode from 'vscode';
import { statusOf } from './runLabels.js';
import type { Services } from './services.js';

export function register(context: vscode.ExtensionContext, services: Services): void {
  const item = vscode.window.createStatusBarItem('thaw.training', vscode.StatusBarAlignment.Left, 0);
  item.name = vscode.l10n.t('Thaw: training');
  let shown: string | undefined;
  const update = (): void => {
    const status = statusOf(services.runs.all(), services.l10n);
    if (status === undefined) {
      item.hide();
      return;
    }
    item.text = `$(loading~spin) ${status.text}`;
    item.tooltip = status.tooltip;
    item.accessibilityInformation = { label: status.tooltip };
    if (shown !== status.run.directory) { // each new command ends the one before, also for a click that is still on its way
      shown = status.run.directory;
      item.command = { command: 'thaw.openRun', title: vscode.l10n.t('Open Run'), arguments: [shown] };
    }
    item.show();
  };
  context.subscriptions.push(item, services.runs.onDidChange(update));
  update();
}
