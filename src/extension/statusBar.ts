// The status bar: one item while something trains, with the epoch; it opens the panel.
import * as vscode from 'vscode';
import type { CommandHandlers } from './commandTable.js';
import { statusOf } from './runLabels.js';
import type { Services } from './services.js';

export function register(context: vscode.ExtensionContext, services: Services): CommandHandlers<'thaw.openLiveRun'> {
  const item = vscode.window.createStatusBarItem('thaw.training', vscode.StatusBarAlignment.Left, 0);
  item.name = vscode.l10n.t('Thaw: training');
  item.command = 'thaw.openLiveRun'; // without arguments: VS Code drops those of a click that is on its way when the item changes
  const update = (): void => {
    const status = statusOf(services.runs.all(), services.l10n);
    if (status === undefined) {
      item.hide();
      return;
    }
    item.text = `$(loading~spin) ${status.text}`;
    item.tooltip = status.tooltip;
    item.accessibilityInformation = { label: status.tooltip };
    item.show();
  };
  context.subscriptions.push(item, services.runs.onDidChange(update));
  update();
  return {
    'thaw.openLiveRun': () => {
      const status = statusOf(services.runs.all(), services.l10n);
      if (status !== undefined) services.panels.openRun(status.run.directory);
    },
  };
}
