// Restricted Mode: nothing trains, and the reason is said where the person asked.
import * as vscode from 'vscode';

/** Why nothing trains here, or undefined when it may. */
export function whyNoTraining(): string | undefined {
  if (vscode.workspace.isTrusted) return undefined;
  return vscode.l10n.t('Nothing trains in Restricted Mode: Thaw reads images and writes runs only in a folder that you trust.');
}

/** True when training may start; otherwise says why not, and offers to manage the trust. */
export async function requireTrust(): Promise<boolean> {
  const reason = whyNoTraining();
  if (reason === undefined) return true;
  const manage = vscode.l10n.t('Manage Workspace Trust');
  if (await vscode.window.showWarningMessage(reason, manage) === manage) await vscode.commands.executeCommand('workbench.trust.manage');
  return false;
}
