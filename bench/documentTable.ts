// Tables that stand in documents between two marks, and are made anew by a command.

/** The document with what stands between the marks replaced. @throws Error where it has no such marks */
export function replaceBetween(document: string, [begin, end]: readonly [string, string], table: string): string {
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`The document has no place for the table between ${begin} and ${end}`);
  return `${document.slice(0, from + begin.length)}\n\n${table}\n\n${document.slice(to)}`;
}
