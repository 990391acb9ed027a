// One notification when a run that this window started or watched ends, with the interval and a way to open it; none before.
import * as vscode from 'vscode';
import { endingOf } from './runLabels.js';
import type { Services } from './services.js';

export function register(context: vscode.ExtensionContext, services: Services): void {
  const update = (): void => {
    for (const run of services.endings.update(services.runs.all())) {
      if (services.studies.owns(run.directory)) continue; // the study tells when it has ended
      const { severity, text } = endingOf(run, services.l10n);
      services.log.info(text);
      const open = vscode.l10n.t('Open');
      const show = {
        information: vscode.window.showInformationMessage, warning: vscode.window.showWarningMessage, error: vscode.window.showErrorMessage,
      }[severity] as (message: string, ...items: string[]) => Thenable<string | undefined>;
      void show(text, open).then((chosen) => {
        if (chosen === open) services.panels.openRun(run.directory);
      });
    }
  };
  context.subscriptions.push(services.runs.onDidChange(update));
  update();
}
