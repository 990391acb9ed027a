// Names from disk, made safe for the parts of VS Code that give text a meaning: notifications turn `[a](command:b)` into a link, quick picks
// and the status bar turn `$(name)` into an icon.

// C0 and C1 controls, bidirectional overrides and isolates, line and paragraph separators.
const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** One line of at most `limit` characters in which nothing is a link, an icon or an invisible character. */
export function plainText(text: string, limit = 300): string {
  const visible = text.replace(INVISIBLE, ' ').replaceAll('](', '] (').replaceAll('$(', '$ (');
  return visible.length <= limit ? visible : `${visible.slice(0, limit - 1).trimEnd()}…`;
}

/** As `plainText`, short enough for a label. */
export function plainName(name: string): string {
  return plainText(name, 80);
}

/** What happened and what to do next, each ended by a full stop, as one line. */
export function sentences(...parts: readonly string[]): string {
  return parts.map((part) => plainText(part, 1000).trim()).filter((part) => part !== '').map((part) => (/[.!?…]$/.test(part) ? part : `${part}.`)).join(' ');
}
