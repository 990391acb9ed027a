// The datasets on which advice is held against training: parts of three datasets, in colour and in gray, and of digits, which are gray, with at most 300
// training images.
import { copyFile, mkdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { stratifiedSample } from '../src/advice/folds.js';
import { assembleDataset } from '../src/dataset/assemble.js';
import { hashImages } from '../src/dataset/hashing.js';
import { listDataset } from '../src/dataset/listing.js';
import type { Colour } from '../src/protocol/run.js';

export interface AdviceCase {
  /** `emoji-120-gray` */
  readonly id: string;
  readonly dataset: 'hymenoptera' | 'dog_cat' | 'emoji' | 'digits';
  /** At most so many training images, each class its share. */
  readonly train: number;
  /** The only classes, where not all. */
  readonly classes?: readonly string[];
  readonly colour: Colour;
}

const PARTS: readonly (Omit<AdviceCase, 'id' | 'colour'> & { readonly name: string; readonly gray?: true })[] = [
  { name: 'hymenoptera-all', dataset: 'hymenoptera', train: 300 },
  { name: 'hymenoptera-60', dataset: 'hymenoptera', train: 60 },
  { name: 'dog_cat-300', dataset: 'dog_cat', train: 300 },
  { name: 'dog_cat-60', dataset: 'dog_cat', train: 60 },
  { name: 'emoji-300', dataset: 'emoji', train: 300 },
  { name: 'emoji-120', dataset: 'emoji', train: 120 },
  { name: 'emoji-pair-200', dataset: 'emoji', train: 200, classes: ['animals', 'plants'] },
  { name: 'digits-300', dataset: 'digits', train: 300, gray: true },
  { name: 'digits-100', dataset: 'digits', train: 100, gray: true },
];

export const CASES: readonly AdviceCase[] = PARTS.flatMap(({ name, gray, ...part }) => (gray === true ? ['rgb'] as const : ['rgb', 'gray'] as const).map((colour) => ({ id: `${name}${colour === 'gray' ? '-gray' : ''}`, ...part, colour })));

/** Validation images at most. */
const MOST_VALIDATION = 300;

/**
 * Copies a case's images into a folder of its own, train and val as the dataset has them or as Thaw splits it; the same each time.
 * @param data the folder that holds the dataset's
 */
export async function prepareCase({ dataset, train, classes }: AdviceCase, data: string, folder: string): Promise<void> {
  if (await stat(folder).catch(() => undefined) !== undefined) return;
  const listing = await listDataset(path.join(data, dataset));
  const found = assembleDataset(listing, await hashImages(listing, { splitSeed: 0 }), new Map(), { splitSeed: 0 });
  const unfinished = `${folder}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  for (const [split, most] of [['train', train], ['validation', MOST_VALIDATION]] as const) {
    const images = found.images.filter((image) => image.split === split && (classes === undefined || classes.includes(found.classes[image.class] ?? '')));
    const rows = stratifiedSample({ labels: Int32Array.from(images, (image) => image.class), groups: images.map(({ sha256 }) => sha256), classes: found.classes.length }, most);
    for (const row of rows) {
      const image = images[row];
      if (image === undefined) continue;
      const target = path.join(unfinished, split === 'train' ? 'train' : 'val', found.classes[image.class] ?? '');
      await mkdir(target, { recursive: true });
      await copyFile(path.join(found.root, image.path), path.join(target, path.basename(image.path)));
    }
  }
  await rename(unfinished, folder);
}
