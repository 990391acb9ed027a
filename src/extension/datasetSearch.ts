// Finds the image folders of a workspace folder by walking it, with bounds: a workspace can hold a million files, and `findFiles` is slower.
import { opendir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { hasDecodedExtension } from '../dataset/imageFormat.js';
import { looksLikeDataset, type DatasetSummary } from '../dataset/listing.js';
import { formatCount } from '../metrics/format.js';
import type { Localiser } from '../protocol/localiser.js';

/** A folder that can be trained on. */
export interface FoundDataset extends DatasetSummary {
  /** Absolute path. */
  readonly root: string;
}

export interface SearchLimits {
  /** How deep below the start, the start being 0. */
  readonly depth: number;
  /** Folders looked into. */
  readonly folders: number;
  readonly datasets: number;
}

export interface SearchResult {
  readonly datasets: readonly FoundDataset[];
  /** False when a limit ended the search. */
  readonly complete: boolean;
}

const LIMITS: SearchLimits = { depth: 5, folders: 3000, datasets: 200 };

/** Never looked into: not hidden, but never a person's images. */
const SKIPPED: ReadonlySet<string> = new Set(['node_modules', '__pycache__', 'site-packages', 'venv', 'bower_components']);

/** Entries of a class folder that are looked at to find one image among them. */
const ENTRIES_TO_AN_IMAGE = 500;

/**
 * The datasets under `start`, breadth first, each as `looksLikeDataset` describes it; what lies inside a dataset is not searched. A folder of
 * datasets is not taken for one: unless it gives a split, two of its subfolders must hold images themselves. Links are not followed. A folder
 * that can't be read is passed over.
 */
export async function findDatasets(start: string, options: { limits?: Partial<SearchLimits>; signal?: AbortSignal } = {}): Promise<SearchResult> {
  const limits = { ...LIMITS, ...options.limits };
  const datasets: FoundDataset[] = [];
  let complete = true;
  let looked = 0;
  let level = [start];
  for (let depth = 0; level.length > 0; depth += 1) {
    const next: string[] = [];
    for (const folder of level) {
      options.signal?.throwIfAborted();
      if (looked >= limits.folders || datasets.length >= limits.datasets) return { datasets, complete: false };
      looked += 1;
      const inside = await subfolders(folder);
      const found = await isPromising(inside) ? await looksLikeDataset(folder) : undefined;
      if (found) datasets.push({ root: folder, ...found });
      else if (depth < limits.depth) next.push(...inside);
      else if (inside.length > 0) complete = false;
    }
    level = next;
  }
  return { datasets, complete };
}

async function isPromising(inside: readonly string[]): Promise<boolean> {
  if (inside.length < 2) return false;
  if (inside.some((folder) => path.basename(folder).toLowerCase() === 'train')) return true;
  let withImages = 0;
  for (const folder of inside) {
    if (await holdsAnImage(folder)) withImages += 1;
    if (withImages === 2) return true;
  }
  return false;
}

async function holdsAnImage(folder: string): Promise<boolean> {
  try {
    let looked = 0;
    for await (const entry of await opendir(folder)) {
      if (entry.isFile() && !entry.name.startsWith('.') && hasDecodedExtension(entry.name)) return true;
      looked += 1;
      if (looked === ENTRIES_TO_AN_IMAGE) return false;
    }
  } catch {
    return false; // it can't be read, so it can't be trained on either
  }
  return false;
}

async function subfolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && !SKIPPED.has(entry.name))
    .map((entry) => path.join(folder, entry.name))
    .sort();
}

/** Whether a path is the folder itself or inside it, by name alone. */
export function isWithin(folder: string, candidate: string): boolean {
  const relative = path.relative(folder, candidate);
  return relative === '' || (relative !== '..' && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative));
}

/** `123 / 70` where the folder gives the split (train, validation, and test when there is one), else the count. */
export function classCounts({ count, train, validation, test }: DatasetSummary['classes'][number]): string {
  if (train === undefined || validation === undefined) return formatCount(count);
  return [train, validation, ...(test === undefined || test === 0 ? [] : [test])].map(formatCount).join(' / ');
}

/** `397 images`, or `over 50,000 images` where the count was ended by its bound. */
export function imagesText({ images, complete }: Pick<DatasetSummary, 'images' | 'complete'>, l10n: Localiser): string {
  return complete ? l10n.t('{0} images', formatCount(images)) : l10n.t('over {0} images', formatCount(images));
}
