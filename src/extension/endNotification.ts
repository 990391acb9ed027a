// One notification when a run that this window started or watched ends, with the interval and a way to open it; none before.
import * as vscode from 'vscode';
import type { RunSnapshot } from '../protocol/snapshot.js';
import { inBackground } from './errorReport.js';
import { endingOf } from './runLabels.js';
import type { Services } from './services.js';

export function register(context: vscode.ExtensionContext, services: Services): void {
  const update = (): void => {
    for (const run of services.endings.update(services.runs.all())) inBackground(services.log, tell(services, run));
  };
  context.subscriptions.push(services.runs.onDidChange(update));
  update();
}

async function tell(services: Services, run: RunSnapshot): Promise<void> {
  if (await services.studies.owns(run.directory)) return; // the study tells when it has ended
  const { severity, text } = endingOf(run, services.l10n);
  services.log.info(text);
  const open = vscode.l10n.t('Open');
  const show = {
    information: vscode.window.showInformationMessage, warning: vscode.window.showWarningMessage, error: vscode.window.showErrorMessage,
  }[severity] as (message: string, ...items: string[]) => Thenable<string | undefined>;
  if (await show(text, open) === open) services.panels.openRun(run.directory);
}
