// The panel's words. The host hands VS Code's translations over in the page, as data; without any, all is English.
import { createLocaliser, ENGLISH, type Localiser, type Translations } from '../protocol/localiser.js';
import { translateRecorded } from '../protocol/recordedText.js';

let current = ENGLISH;

/** `t('epoch {0} of {1}', 3, 15)`, as `vscode.l10n.t`. Not at a module's top level: the translations are not there yet. */
export function t(message: string, ...values: (string | number)[]): string {
  return current.t(message, ...values);
}

/** The same, for what is shared with the host. */
export const WORDS: Localiser = { t };

/** What a run folder or a job says in English, in the panel's words. */
export function recorded(text: string): string {
  return translateRecorded(text, current);
}

/** undefined: English. */
export function translateWith(translations: Translations | undefined): void {
  current = createLocaliser(translations);
}

/** `data-words` as the host wrote it. Of another shape: undefined, since words are no reason to show nothing. */
export function parseTranslations(data: string | undefined): Translations | undefined {
  if (data === undefined) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(data);
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined;
  return Object.fromEntries(Object.entries(parsed).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}
