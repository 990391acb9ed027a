// From a listing, the hashes and what could not be decoded to the dataset that is trained on. Pure: the same input gives the same dataset.
import { createHash } from 'node:crypto';
import { formatCount } from '../metrics/format.js';
import { ThawError } from '../protocol/errors.js';
import type { LeftOut, RunData } from '../protocol/run.js';
import type { ContentHash } from './hashing.js';
import { byCodeUnits, names, type ListedImage, type Listing, type SplitName } from './listing.js';

export interface DatasetImage {
  /** Relative to the dataset folder, `/` between the parts. */
  readonly path: string;
  /** Index into the dataset's classes. */
  readonly class: number;
  readonly split: SplitName;
  readonly sha256: string;
}

export type SplitCounts = Readonly<Record<SplitName, number>>;

export interface Dataset {
  readonly root: string;
  readonly name: string;
  readonly classes: readonly string[];
  readonly layout: 'given' | 'split';
  /** In the listing's order. */
  readonly images: readonly DatasetImage[];
  readonly leftOut: readonly LeftOut[];
  readonly warnings: readonly string[];
  /** Of each class, in the order of `classes`. */
  readonly counts: readonly SplitCounts[];
  /** SHA-256, hexadecimal: see `fingerprintOf`. */
  readonly fingerprint: string;
}

/** Share of a class's distinct contents that are validation, where the folder gives no split. */
const VALIDATION_SHARE = 0.2;
/** Names in a warning. */
const SHOWN = 5;

/**
 * Refuses what is no dataset by its listing alone, before an image of it is read: `assembleDataset` would refuse it in the same words.
 * @throws ThawError of kind `input`: `too-few-classes`, `too-few-images`, `no-training-images`, `no-validation-images`
 */
export function requireTrainable(listing: Listing): void {
  requireClasses(listing);
  const counts = countImages(listing.classes, listing.images);
  requireImages(listing, counts, listing.leftOut);
  if (listing.layout === 'given') requireSplits(listing, counts);
}

/** An image that can be used, so far. */
interface Usable extends ListedImage {
  readonly hash: ContentHash;
}

/**
 * Leaves out what can't be used, splits where the folder doesn't, and checks that there is something to train on.
 *
 * The split: within each class, distinct contents in the order of SHA-256(split seed in decimal ‖ 0 ‖ bytes); the first
 * max(1, round(.2 n)) of n are validation. So it is stratified, hardly moves as data grow, and identical files are on one side.
 * A content found in two classes has no true label: it is left out. A given split is respected, and what is on both its sides is warned about.
 *
 * @param unusable path → reason, of images that can't be decoded; other images of the same content are left out too
 * @throws ThawError of kind `input`: `too-few-classes`, `too-few-images`, `one-content`, `no-training-images`, `no-validation-images`
 */
export function assembleDataset(
  listing: Listing,
  hashes: ReadonlyMap<string, ContentHash> & { readonly unreadable?: ReadonlyMap<string, string> },
  unusable: ReadonlyMap<string, string>,
  options: { splitSeed: number },
): Dataset {
  if (!Number.isSafeInteger(options.splitSeed)) throw new RangeError(`split seed ${String(options.splitSeed)}`);
  const leftOut: LeftOut[] = [...listing.leftOut];
  const warnings: string[] = [...listing.warnings];

  const decodable = leaveOutUndecodable(listing, hashes, unusable, leftOut);
  const usable = leaveOutAmbiguous(listing, decodable, leftOut, warnings);
  requireClasses(listing);
  requireImages(listing, countImages(listing.classes, usable), leftOut);
  if (listing.layout === 'split') requireContents(listing, usable);
  const images = (listing.layout === 'given' ? keepGivenSplit(usable, warnings) : splitByContent(usable))
    .map(({ image, split }): DatasetImage => ({ path: image.path, class: image.class, split, sha256: image.hash.sha256 }));
  const counts = countImages(listing.classes, images);
  if (listing.layout === 'given') {
    requireSplits(listing, counts);
    warnOfUnjudged(listing, counts, warnings);
  }
  leftOut.sort((a, b) => byCodeUnits(a.path, b.path));
  return {
    root: listing.root, name: listing.name, classes: listing.classes, layout: listing.layout,
    images, leftOut, warnings, counts, fingerprint: fingerprintOf(images, listing.classes),
  };
}

/**
 * SHA-256 over the sorted lines `content hash, split, class name as JSON`, joined by line feeds: two runs with the same value saw the same
 * images in the same split, whatever the files are called. A content used twice counts twice.
 */
export function fingerprintOf(images: readonly Pick<DatasetImage, 'sha256' | 'split' | 'class'>[], classes: readonly string[]): string {
  const lines = images.map((image) => `${image.sha256} ${image.split} ${JSON.stringify(classes[image.class])}`).sort(byCodeUnits);
  return createHash('sha256').update(lines.join('\n')).digest('hex');
}

/** What run.json says about a dataset; its lists are cut to what run.json can hold. */
export function runData(dataset: Dataset): RunData {
  const total = (split: SplitName): number => dataset.counts.reduce((sum, count) => sum + count[split], 0);
  return {
    classes: [...dataset.classes],
    layout: dataset.layout,
    train: total('train'),
    validation: total('validation'),
    test: total('test'),
    counts: dataset.counts.map((count) => ({ ...count })),
    fingerprint: dataset.fingerprint,
    leftOut: dataset.leftOut.slice(0, 200).map(({ path, reason }) => ({ path: path.slice(0, 1024), reason: reason.slice(0, 4096) })),
    leftOutCount: dataset.leftOut.length,
    warnings: dataset.warnings.slice(0, 200).map((warning) => warning.slice(0, 4096)),
  };
}

function leaveOutUndecodable(
  listing: Listing,
  hashes: ReadonlyMap<string, ContentHash> & { readonly unreadable?: ReadonlyMap<string, string> },
  unusable: ReadonlyMap<string, string>,
  leftOut: LeftOut[],
): Usable[] {
  const unusableContents = new Map<string, string>();
  for (const [file, reason] of unusable) {
    const hash = hashes.get(file);
    if (hash !== undefined) unusableContents.set(hash.sha256, reason);
  }
  return listing.images.flatMap((image) => {
    const hash = hashes.get(image.path);
    const reason = unusable.get(image.path)
      ?? (hash === undefined ? hashes.unreadable?.get(image.path) ?? 'The file can\'t be read' : unusableContents.get(hash.sha256));
    if (hash !== undefined && reason === undefined) return [{ ...image, hash }];
    leftOut.push({ path: image.path, reason: reason ?? 'The file can\'t be read' });
    return [];
  });
}

function leaveOutAmbiguous(listing: Listing, images: readonly Usable[], leftOut: LeftOut[], warnings: string[]): Usable[] {
  const first = new Map<string, Usable>();
  const other = new Map<string, Usable>();
  for (const image of images) {
    const before = first.get(image.hash.sha256);
    if (before === undefined) first.set(image.hash.sha256, image);
    else if (before.class !== image.class && !other.has(image.hash.sha256)) other.set(image.hash.sha256, image);
  }
  if (other.size === 0) return [...images];
  const kept = images.filter((image) => {
    const { sha256 } = image.hash;
    const [a, b] = [first.get(sha256), other.get(sha256)];
    if (a === undefined || b === undefined) return true;
    const twin = image.class === a.class ? b : a;
    leftOut.push({ path: image.path, reason: `The same image is in the class ${JSON.stringify(listing.classes[twin.class])}, as ${JSON.stringify(twin.path)}` });
    return false;
  });
  const count = images.length - kept.length;
  warnings.push(`${formatCount(count)} files left out: the same image is in two classes (${names([...other.values()].map((image) => image.path), SHOWN)})`);
  return kept;
}

/** Of each class; images whose split is not known yet count as training ones. */
function countImages(classes: readonly string[], images: readonly Pick<ListedImage, 'class' | 'split'>[]): SplitCounts[] {
  const counts = classes.map(() => ({ train: 0, validation: 0, test: 0 }));
  for (const image of images) {
    const count = counts[image.class];
    if (count !== undefined) count[image.split ?? 'train'] += 1;
  }
  return counts;
}

/** @throws ThawError `too-few-classes` */
export function requireClasses(listing: Listing): void {
  const { classes } = listing;
  if (classes.length < 2) {
    const files = listing.leftOut.filter((entry) => !entry.path.includes('/')).length;
    throw new ThawError('input', 'too-few-classes',
      `${listing.root} holds ${classes.length === 0 ? 'no class folders' : `one class folder, ${JSON.stringify(classes[0])}`}; at least two are needed`
      + (files > 0 ? `, and ${formatCount(files)} image${files === 1 ? '' : 's'} in no class folder` : ''),
      'Choose a folder that has one subfolder of images for each class');
  }
}

function requireImages({ classes }: Listing, counts: readonly SplitCounts[], leftOut: readonly LeftOut[]): void {
  const usable = counts.map(({ train, validation, test }) => train + validation + test);
  const small = classes.filter((_, index) => (usable[index] ?? 0) < 2);
  if (small.length > 0) {
    const index = classes.indexOf(small[0] ?? '');
    const count = usable[index] ?? 0;
    const bad = leftOut.filter((entry) => entry.path.split('/').includes(small[0] ?? '')).length;
    const more = small.length > 1 ? `, and so it is with ${names(small.slice(1))}` : '';
    throw new ThawError('input', 'too-few-images',
      `The class ${JSON.stringify(small[0])} has ${count === 0 ? 'no usable image' : '1 usable image'}${bad > 0 ? ` (${formatCount(bad)} left out)` : ''}; at least 2 are needed${more}`,
      'Add images to the class, or move its folder out of the dataset');
  }
}

function requireContents({ classes }: Listing, images: readonly Usable[]): void {
  const contents = classes.map(() => new Set<string>());
  for (const image of images) contents[image.class]?.add(image.hash.sha256);
  const index = contents.findIndex((set) => set.size < 2);
  if (index >= 0) {
    const count = images.filter((image) => image.class === index).length;
    throw new ThawError('input', 'one-content', `All ${formatCount(count)} images of the class ${JSON.stringify(classes[index])} are copies of one image, which can't both train and validate`,
      'Add other images to the class, or move its folder out of the dataset');
  }
}

interface Placed {
  readonly image: Usable;
  readonly split: SplitName;
}

function splitByContent(images: readonly Usable[]): Placed[] {
  const orders = new Map<number, Set<string>>();
  for (const image of images) {
    const ofClass = orders.get(image.class) ?? new Set<string>();
    orders.set(image.class, ofClass.add(image.hash.order));
  }
  const validation = new Map<number, Set<string>>();
  for (const [index, contents] of orders) {
    const ordered = [...contents].sort(byCodeUnits);
    validation.set(index, new Set(ordered.slice(0, Math.max(1, Math.round(VALIDATION_SHARE * ordered.length)))));
  }
  return images.map((image) => ({ image, split: validation.get(image.class)?.has(image.hash.order) === true ? 'validation' : 'train' }));
}

function keepGivenSplit(images: readonly Usable[], warnings: string[]): Placed[] {
  const placed = images.map((image): Placed => ({ image, split: image.split ?? 'train' }));
  for (const [one, two] of [['train', 'validation'], ['train', 'test'], ['validation', 'test']] as const) {
    const contents = new Set(placed.filter(({ split }) => split === one).map(({ image }) => image.hash.sha256));
    const shared = placed.filter(({ image, split }) => split === two && contents.has(image.hash.sha256)).map(({ image }) => image.path);
    if (shared.length > 0) {
      warnings.push(`${formatCount(shared.length)} ${two} image${shared.length === 1 ? ' is' : 's are'} in ${one} too, so the accuracy is too good: ${names(shared, SHOWN)}`);
    }
  }
  return placed;
}

function requireSplits(listing: Listing, counts: readonly SplitCounts[]): void {
  const untrained = listing.classes.filter((_, index) => counts[index]?.train === 0);
  if (untrained.length > 0) {
    throw new ThawError('input', 'no-training-images', `There is no usable training image of ${names(untrained)}`, 'Add images to the class in the training folder, or remove the class from all splits');
  }
  if (counts.every((count) => count.validation === 0)) {
    throw new ThawError('input', 'no-validation-images', `There is no usable validation image in ${listing.root}`, 'Add images to the validation folder, or train on the training folder itself, which Thaw then splits');
  }
}

function warnOfUnjudged(listing: Listing, counts: readonly SplitCounts[], warnings: string[]): void {
  const unjudged = listing.classes.filter((name, index) => counts[index]?.validation === 0 && !listing.warnings.some((warning) => warning.includes(JSON.stringify(name))));
  if (unjudged.length > 0) warnings.push(`No usable validation image of ${names(unjudged, SHOWN)}: the accuracy says nothing about them`);
}
