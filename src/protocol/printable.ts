// Text for a terminal or a log. Names, paths and messages come from disk, a cloned run.json among them, and a terminal obeys what they hold.
import { ThawError } from './errors.js';

/** C0 and C1 controls, line and paragraph separators. */
const OBEYED = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** One line in which a terminal finds nothing to obey. */
export function printable(text: string): string {
  return text.replace(OBEYED, '?');
}

/** What happened and what to do next; of an error that isn't Thaw's where it came from. Ends its last line. */
export function printableError(error: unknown): string {
  const text = error instanceof ThawError ? printable(`${error.message}. ${error.next}.`)
    : (error instanceof Error ? error.stack ?? error.message : String(error)).split('\n').map(printable).join('\n');
  return `${text}\n`;
}
