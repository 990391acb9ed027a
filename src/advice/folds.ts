// Folds for cross-validation, and nested parts of a dataset: images of one content stay together, classes are spread evenly.

/** A labelled set as the measurements see it. */
export interface LabelledSet {
  /** `[images]`, class indices. */
  readonly labels: Int32Array;
  /** `[images]`: images with the same value are the same image, or copies of it. */
  readonly groups: readonly string[];
  readonly classes: number;
}

/** Distinct groups of each class, in the order of their names: contents are named by their hash, so the order is as good as drawn. */
function groupsOfClasses({ labels, groups, classes }: LabelledSet): string[][] {
  const found = Array.from({ length: classes }, () => new Set<string>());
  for (const [index, label] of labels.entries()) found[label]?.add(groups[index] ?? '');
  return found.map((names) => [...names].sort((a, b) => (a < b ? -1 : 1)));
}

/**
 * `[images]`: the fold of each image. Within a class, groups are dealt one after the other; where a class ends, the next goes on, so that small
 * classes don't all begin in the first fold.
 */
export function stratifiedFolds(set: LabelledSet, folds: number): Int32Array {
  const dealt = new Map<string, number>();
  let next = 0;
  for (const names of groupsOfClasses(set)) for (const name of names) if (!dealt.has(name)) dealt.set(name, next++ % folds);
  return Int32Array.from(set.groups, (name) => dealt.get(name) ?? 0);
}

/**
 * Of the images at `rows`, those of a share of each class's groups, one at the least, in the order given. A smaller share's images are among a
 * larger one's.
 */
export function stratifiedShare(set: LabelledSet, rows: readonly number[], share: number): number[] {
  const chosen = new Set<string>();
  const part: LabelledSet = { labels: Int32Array.from(rows, (row) => set.labels[row] ?? 0), groups: rows.map((row) => set.groups[row] ?? ''), classes: set.classes };
  for (const names of groupsOfClasses(part)) for (const name of names.slice(0, Math.max(1, Math.round(share * names.length)))) chosen.add(name);
  return rows.filter((row) => chosen.has(set.groups[row] ?? ''));
}

/** At most `most` of the images, of each class its share; all where there are no more. In ascending order. */
export function stratifiedSample(set: LabelledSet, most: number): number[] {
  const rows = Array.from(set.labels, (_, row) => row);
  if (rows.length <= most) return rows;
  const orderOf = new Map<string, number>();
  for (const names of groupsOfClasses(set)) for (const [place, name] of names.entries()) orderOf.set(name, (place + 0.5) / names.length);
  const ordered = rows.map((row) => ({ row, place: orderOf.get(set.groups[row] ?? '') ?? 0 })).sort((a, b) => a.place - b.place || a.row - b.row);
  return ordered.slice(0, most).map(({ row }) => row).sort((a, b) => a - b);
}
