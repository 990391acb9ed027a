// How a failure reaches the person: what happened and what to do next in a notification, the rest in the log.
import * as vscode from 'vscode';
import { ThawError } from '../protocol/errors.js';
import { translateRecorded } from '../protocol/recordedText.js';
import { sentences } from './plainText.js';

/** Shows the error and returns at once. A cancellation is no error and says nothing. */
export function reportError(log: vscode.LogOutputChannel, error: unknown): void {
  if (error instanceof vscode.CancellationError) return;
  log.error(error instanceof Error ? error : String(error));
  const text = error instanceof ThawError
    ? sentences(translateRecorded(error.message, vscode.l10n), translateRecorded(error.next, vscode.l10n))
    : vscode.l10n.t('Thaw met an unexpected error: {0}', sentences(error instanceof Error ? error.message : String(error)));
  const showLog = vscode.l10n.t('Show Log');
  void vscode.window.showErrorMessage(text, showLog).then((chosen) => {
    if (chosen === showLog) log.show();
  });
}

/** Runs a piece of work that nobody waits for; its failure is reported. */
export function inBackground(log: vscode.LogOutputChannel, work: Promise<unknown>): void {
  work.catch((error: unknown) => reportError(log, error));
}
