// Text that a person reads is translated by VS Code. Files that don't import `vscode` take this narrow view of `vscode.l10n`.

export interface Localiser {
  /** `t('epoch {0} of {1}', 3, 15)`, as `vscode.l10n.t`. */
  t(message: string, ...values: (string | number)[]): string;
}

/** The English text of a message → its translation, as `vscode.l10n.bundle`. */
export type Translations = Readonly<Record<string, string>>;

/** A localiser for where VS Code's own is out of reach; what has no translation stays English. */
export function createLocaliser(translations: Translations = {}): Localiser {
  return {
    t: (message, ...values) => {
      const text = Object.hasOwn(translations, message) ? translations[message] ?? message : message;
      // In one pass, so that a value with braces of its own is left as it is.
      return text.replaceAll(/\{(\d+)\}/g, (placeholder, index: string) => String(values[Number(index)] ?? placeholder));
    },
  };
}

/** For the terminal, and wherever nothing is translated. */
export const ENGLISH = createLocaliser();
