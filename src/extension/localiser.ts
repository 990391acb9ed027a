// Text that a person reads is translated by VS Code. Files that don't import `vscode` take this narrow view of `vscode.l10n`.

export interface Localiser {
  /** `t('epoch {0} of {1}', 3, 15)`, as `vscode.l10n.t`. */
  t(message: string, ...values: (string | number)[]): string;
}
