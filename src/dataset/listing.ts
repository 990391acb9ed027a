// Which images a folder holds, of which class and split, by names alone: nothing is decoded, and nothing is hashed.
//
// Layouts: `root/class/**` or `root/{train,val}/class/**`. Split folders are `train`, `val` (also `valid`, `validation`) and `test`, in any
// letter case. Inside a class folder, subfolders are walked, as torchvision's ImageFolder does. Classes are sorted by name, in the order of
// UTF-16 code units (capitals before small letters, the same on every machine).
//
// Links: a link to a file counts when it leads to a regular file, wherever that is; a link to a folder is followed unless that folder holds
// the dataset or was seen in the same class already, so a loop ends at once.
import type { Dirent, Stats } from 'node:fs';
import { open, readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { formatCount } from '../metrics/format.js';
import { ThawError } from '../protocol/errors.js';
import { MOST_CLASSES, type LeftOut } from '../protocol/run.js';
import { detectImageFormat, extension, hasDecodedExtension, hasImageExtension, HEAD_BYTES, oversized } from './imageFormat.js';

export type SplitName = 'train' | 'validation' | 'test';

export interface ListedImage {
  /** Relative to the dataset folder, `/` between the parts. */
  readonly path: string;
  /** Index into the listing's classes. */
  readonly class: number;
  /** Where the folder says it. */
  readonly split?: SplitName;
  readonly bytes: number;
}

export interface Listing {
  /** Absolute path, as asked for. */
  readonly root: string;
  readonly name: string;
  readonly classes: readonly string[];
  readonly layout: 'given' | 'split';
  /** By split, class and path. */
  readonly images: readonly ListedImage[];
  readonly leftOut: readonly LeftOut[];
  readonly warnings: readonly string[];
}

const SPLIT_FOLDERS: ReadonlyMap<string, SplitName> = new Map([
  ['train', 'train'], ['val', 'validation'], ['valid', 'validation'], ['validation', 'validation'], ['test', 'test'],
]);
/** Left by operating systems and archivers; names that begin with a dot are ignored anyway. */
const IGNORED: ReadonlySet<string> = new Set(['thumbs.db', 'desktop.ini', '__macosx', '@eadir', '$recycle.bin', 'system volume information', 'lost+found']);

/** Bounds against folders that never end. */
const MAX_DEPTH = 32;
const MAX_ENTRIES = 2_000_000;
/** What run.json can hold as a name. */
const MAX_PATH = 1024;
/** stat calls under way at once. */
const STATS = 32;

/**
 * Lists a dataset folder.
 * @throws ThawError of kind `input`: `not-a-folder`, `unreadable-folder`, `incomplete-split`, `ambiguous-split`, `class-not-a-folder`,
 * `unknown-class`, `no-classes`, `dataset-too-large`
 */
export async function listDataset(root: string, options: { signal?: AbortSignal } = {}): Promise<Listing> {
  const folder = path.resolve(root);
  await requireFolder(folder);
  const lister = new Lister(folder, await realpath(folder), options.signal);
  return lister.list();
}

/** One visible thing in a folder, links followed. */
interface Entry {
  readonly name: string;
  readonly kind: 'folder' | 'file' | 'other';
  readonly link: boolean;
}

class Lister {
  private readonly leftOut: LeftOut[] = [];
  private readonly warnings: string[] = [];
  private readonly otherFiles: string[] = [];
  private readonly images: ListedImage[] = [];
  private entries = 0;

  constructor(private readonly root: string, private readonly realRoot: string, private readonly signal: AbortSignal | undefined) {}

  async list(): Promise<Listing> {
    const top = await this.read('');
    const folders = top.filter((entry) => entry.kind === 'folder');
    const splits = await this.splitFolders(top, folders);
    const classes = splits === undefined
      ? await this.listClasses(folders.map((entry) => entry.name))
      : await this.listSplits(splits, folders);
    await this.looseFiles('', top);
    if (this.otherFiles.length > 0) {
      const what = this.otherFiles.length === 1 ? '1 file that is not an image was' : `${formatCount(this.otherFiles.length)} files that are not images were`;
      this.warnings.push(`${what} ignored: ${names(this.otherFiles)}`);
    }
    const rank = { train: 0, validation: 1, test: 2 };
    this.images.sort((a, b) => (a.split === undefined ? 0 : rank[a.split]) - (b.split === undefined ? 0 : rank[b.split]) || a.class - b.class || byCodeUnits(a.path, b.path));
    this.leftOut.sort((a, b) => byCodeUnits(a.path, b.path));
    return {
      root: this.root,
      name: path.basename(this.root) || this.root,
      classes,
      layout: splits === undefined ? 'split' : 'given',
      images: this.images,
      leftOut: this.leftOut,
      warnings: this.warnings,
    };
  }

  /** The split folders, or undefined when the folder is to be split by us. */
  private async splitFolders(top: readonly Entry[], folders: readonly Entry[]): Promise<ReadonlyMap<SplitName, string> | undefined> {
    const found = new Map<SplitName, string>();
    for (const { name } of folders) {
      const split = SPLIT_FOLDERS.get(name.toLowerCase());
      if (split === undefined) continue;
      const other = found.get(split);
      if (other !== undefined) {
        throw new ThawError('input', 'ambiguous-split', `${this.shown('')} holds both ${quote(other)} and ${quote(name)}, which mean the same split`, 'Keep one of the two');
      }
      found.set(split, name);
    }
    if (found.size === 0) return undefined;
    if (!(found.has('train') && found.has('validation'))) {
      // A class may well be called `train`: then it holds images and no folders, and stands among other classes.
      const others = folders.some((entry) => !SPLIT_FOLDERS.has(entry.name.toLowerCase()));
      if (others && (await Promise.all([...found.values()].map((name) => this.holdsFolders(name)))).every((holds) => !holds)) return undefined;
      const [present] = [...found.values()];
      const missing = found.has('train') ? 'validation' : 'train';
      const file = top.find((entry) => entry.kind !== 'folder' && SPLIT_FOLDERS.get(entry.name.toLowerCase()) === missing);
      if (file !== undefined) throw this.notAFolder(file.name);
      const wanted = missing === 'validation' ? '`val`' : '`train`';
      throw new ThawError('input', 'incomplete-split', `${this.shown('')} holds ${[...found.values()].map(quote).join(' and ')} but no folder ${wanted}`,
        missing === 'validation' && found.has('train')
          ? `Add a folder ${wanted}, or train on ${this.shown(found.get('train') ?? '')} itself, which Thaw then splits`
          : `Add a folder ${wanted}, or train on ${this.shown(present ?? '')} itself, which Thaw then splits`);
    }
    return found;
  }

  private async holdsFolders(name: string): Promise<boolean> {
    return (await this.read(name)).some((entry) => entry.kind === 'folder');
  }

  private async listClasses(classNames: readonly string[]): Promise<string[]> {
    const classes = [...classNames].sort(byCodeUnits);
    this.checkClasses(classes);
    for (const [index, name] of classes.entries()) await this.walkClass(name, index, undefined);
    return classes;
  }

  private async listSplits(splits: ReadonlyMap<SplitName, string>, folders: readonly Entry[]): Promise<string[]> {
    const inside = new Map<SplitName, readonly Entry[]>();
    for (const [split, name] of splits) inside.set(split, await this.read(name));
    const classes = (inside.get('train') ?? []).filter((entry) => entry.kind === 'folder').map((entry) => entry.name).sort(byCodeUnits);
    if (classes.length === 0) {
      const name = splits.get('train') ?? '';
      throw new ThawError('input', 'no-classes', `${this.shown(name)} holds no class folders`, 'Put the images of each class into a folder of its own, named as the class');
    }
    this.checkClasses(classes);
    const indexOf = new Map(classes.map((name, index) => [name, index]));
    const others = folders.filter((entry) => ![...splits.values()].includes(entry.name)).map((entry) => entry.name);
    if (others.length > 0) this.warnings.push(`Beside the split folders, ignored: ${names(others)}`);
    for (const [split, folder] of [...splits].sort(([a], [b]) => byCodeUnits(a, b))) {
      const entries = inside.get(split) ?? [];
      const file = entries.find((entry) => entry.kind !== 'folder' && indexOf.has(entry.name));
      if (file !== undefined) throw this.notAFolder(`${folder}/${file.name}`);
      const present = entries.filter((entry) => entry.kind === 'folder').map((entry) => entry.name);
      const unknown = present.filter((name) => !indexOf.has(name)).sort(byCodeUnits);
      if (unknown.length > 0) {
        const alike = classes.find((name) => unknown.some((other) => other.normalize().toLowerCase() === name.normalize().toLowerCase()));
        throw new ThawError('input', 'unknown-class', `${this.shown(folder)} holds class${unknown.length > 1 ? 'es' : ''} that ${this.shown(splits.get('train') ?? 'train')} does not: ${names(unknown)}`,
          alike === undefined ? 'Give every class a folder of the same name in each split' : `Give every class a folder of the same name in each split; ${quote(alike)} differs in letter case or accents only`);
      }
      const missing = classes.filter((name) => !present.includes(name));
      if (missing.length > 0) this.warnings.push(`No images in ${quote(folder)} for ${names(missing)}: its accuracy says nothing about them`);
      for (const [index, name] of classes.entries()) if (present.includes(name)) await this.walkClass(`${folder}/${name}`, index, split);
      await this.looseFiles(folder, entries);
    }
    return classes;
  }

  private checkClasses(classes: readonly string[]): void {
    if (classes.length > MOST_CLASSES) throw new ThawError('input', 'dataset-too-large', `${this.shown('')} holds ${formatCount(classes.length)} folders; at most ${formatCount(MOST_CLASSES)} classes are trained`, 'Choose a folder that has one subfolder for each class');
  }

  /** Adds all images under a class folder. */
  private async walkClass(start: string, classIndex: number, split: SplitName | undefined): Promise<void> {
    const seen = new Set<string>();
    const pending = [{ folder: start, depth: 0 }];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const { folder, depth } = next;
      const real = await realpath(this.absolute(folder)).catch(() => undefined);
      if (real === undefined) {
        this.leave(folder, 'The folder can\'t be read');
        continue;
      }
      if (seen.has(real) || this.holdsDataset(real)) {
        this.leave(folder, 'A link to a folder that is already part of the dataset');
        continue;
      }
      seen.add(real);
      if (depth > MAX_DEPTH) {
        this.leave(folder, `More than ${String(MAX_DEPTH)} folders deep`);
        continue;
      }
      const entries = await this.read(folder, depth > 0);
      for (const entry of [...entries].reverse()) if (entry.kind === 'folder') pending.push({ folder: `${folder}/${entry.name}`, depth: depth + 1 });
      await inParallel(entries.filter((entry) => entry.kind !== 'folder'), async (entry) => this.addFile(`${folder}/${entry.name}`, entry, classIndex, split));
    }
  }

  private async addFile(file: string, entry: Entry, classIndex: number, split: SplitName | undefined): Promise<void> {
    const named = hasImageExtension(entry.name);
    if (entry.kind === 'other') {
      if (named || entry.link) this.leave(file, entry.link ? 'A link that leads nowhere' : 'Not a regular file');
      else this.otherFiles.push(file);
      return;
    }
    if (!named && !(await this.isUnnamedImage(file))) {
      this.otherFiles.push(file);
      return;
    }
    if (file.length > MAX_PATH) {
      this.leave(file, `Its path is longer than ${formatCount(MAX_PATH)} characters`);
      return;
    }
    let info: Stats;
    try {
      info = await stat(this.absolute(file));
    } catch (error) {
      this.leave(file, `The file can't be read (${errorCode(error)})`);
      return;
    }
    const tooLarge = oversized(info.size);
    if (tooLarge !== undefined) {
      this.leave(file, tooLarge);
      return;
    }
    this.images.push({ path: file, class: classIndex, ...(split === undefined ? {} : { split }), bytes: info.size });
  }

  /** Files that stand beside class folders: images among them are named, since they belong to no class. */
  private async looseFiles(folder: string, entries: readonly Entry[]): Promise<void> {
    for (const entry of entries) {
      if (entry.kind === 'folder') continue;
      const file = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (hasImageExtension(entry.name) || (entry.kind === 'file' && await this.isUnnamedImage(file))) this.leave(file, 'In no class folder');
      else this.otherFiles.push(file);
    }
  }

  /** Whether a file without an extension, or with digits for one, is an image by its bytes. */
  private async isUnnamedImage(file: string): Promise<boolean> {
    if (!/^\d*$/.test(extension(file.slice(file.lastIndexOf('/') + 1)))) return false;
    try {
      const handle = await open(this.absolute(file), 'r');
      try {
        const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
        return detectImageFormat(buffer.subarray(0, bytesRead)) !== undefined;
      } finally {
        await handle.close();
      }
    } catch {
      return false; // unreadable and nothing says that it is an image: it counts among the other files
    }
  }

  /** Visible entries, sorted. @throws ThawError `unreadable-folder`, unless `lenient`: then the folder is left out by name */
  private async read(folder: string, lenient = false): Promise<Entry[]> {
    this.signal?.throwIfAborted();
    let found: Dirent[];
    try {
      found = await readdir(this.absolute(folder), { withFileTypes: true });
    } catch (error) {
      if (lenient) {
        this.leave(folder, `The folder can't be read (${errorCode(error)})`);
        return [];
      }
      throw new ThawError('input', 'unreadable-folder', `The folder ${this.shown(folder)} can't be read (${errorCode(error)})`, 'Check its permissions', { cause: error });
    }
    this.entries += found.length;
    if (this.entries > MAX_ENTRIES) throw new ThawError('input', 'dataset-too-large', `${this.shown('')} holds more than ${formatCount(MAX_ENTRIES)} files`, 'Choose a smaller folder');
    const visible = found.filter((entry) => !isIgnored(entry.name)).sort((a, b) => byCodeUnits(a.name, b.name));
    return inParallel(visible, async (entry) => ({ name: entry.name, link: entry.isSymbolicLink(), kind: await this.kindOf(folder, entry) }));
  }

  private async kindOf(folder: string, entry: Dirent): Promise<Entry['kind']> {
    if (entry.isFile()) return 'file';
    if (entry.isDirectory()) return 'folder';
    // A link, or a file system that doesn't tell. A link that leads nowhere or to itself is `other`, and named later.
    const target = await stat(path.join(this.absolute(folder), entry.name)).catch(() => undefined);
    return target?.isFile() === true ? 'file' : target?.isDirectory() === true ? 'folder' : 'other';
  }

  /** Whether a folder is the dataset's or one above it. */
  private holdsDataset(real: string): boolean {
    return this.realRoot === real || this.realRoot.startsWith(real.endsWith(path.sep) ? real : real + path.sep);
  }

  private notAFolder(relative: string): ThawError {
    return new ThawError('input', 'class-not-a-folder', `${this.shown(relative)} is a file, where a folder is expected`, 'Move the file away, or make it a folder that holds images');
  }

  private leave(relative: string, reason: string): void {
    this.leftOut.push({ path: relative.length > MAX_PATH ? `${relative.slice(0, MAX_PATH - 1)}…` : relative, reason });
  }

  private absolute(relative: string): string {
    return path.join(this.root, relative);
  }

  private shown(relative: string): string {
    return relative === '' ? this.root : path.join(this.root, relative);
  }
}

export interface DatasetSummary {
  readonly images: number;
  readonly classes: readonly { readonly name: string; readonly count: number; /** Where the folder gives the split. */ readonly train?: number; readonly validation?: number; readonly test?: number }[];
  readonly layout: 'given' | 'split';
  /** False when the bound on entries ended the count: there are more images than counted. */
  readonly complete: boolean;
}

/** Entries that `looksLikeDataset` reads at most, in all and before it has seen an image. */
const LOOK_ENTRIES = 50_000;
const LOOK_ENTRIES_WITHOUT_IMAGE = 2000;
const LOOK_DEPTH = 4;
/** Folders of projects, never classes. */
const PROJECT_FOLDERS: ReadonlySet<string> = new Set(['node_modules', '__pycache__', 'site-packages', 'venv', 'bower_components']);

/**
 * Whether a folder looks like a dataset, and what is in it, by names alone: at least two class folders, as many as other folders, and images
 * are most of what lies directly in them. So neither a folder of datasets nor a project that has a few pictures is taken for one. Cheap
 * enough for a view; what training would say (broken files, duplicates) it does not know. Links are not followed.
 */
export async function looksLikeDataset(root: string): Promise<DatasetSummary | undefined> {
  const look = new Look();
  const top = await look.folders(root);
  const splits = top.flatMap((name) => {
    const split = SPLIT_FOLDERS.get(name.toLowerCase());
    return split === undefined ? [] : [{ split, name }];
  });
  const given = splits.some(({ split }) => split === 'train') && splits.some(({ split }) => split === 'validation');
  const places: { folder: string; name: string; split?: SplitName }[] = [];
  if (given) for (const { split, name } of splits) for (const inside of await look.folders(path.join(root, name))) places.push({ folder: path.join(root, name, inside), name: inside, split });
  else places.push(...top.map((name) => ({ folder: path.join(root, name), name })));

  const classes = new Map<string, { count: number; train: number; validation: number; test: number }>();
  let alike = 0;
  for (const { folder, name, split } of places) {
    const { images, isClass } = await look.count(folder, 0);
    if (isClass) alike += 1;
    if (images === 0) continue;
    const total = classes.get(name) ?? { count: 0, train: 0, validation: 0, test: 0 };
    classes.set(name, { ...total, count: total.count + images, ...(split === undefined ? {} : { [split]: total[split] + images }) });
  }
  if (classes.size < 2 || alike < 2 || (alike * 2 < places.length && look.complete)) return undefined;
  const found = [...classes].sort(([a], [b]) => byCodeUnits(a, b));
  return {
    images: found.reduce((sum, [, total]) => sum + total.count, 0),
    classes: found.map(([name, total]) => (given ? { name, ...total } : { name, count: total.count })),
    layout: given ? 'given' : 'split',
    complete: look.complete,
  };
}

/** One bounded look into a folder. */
class Look {
  private entries = 0;
  private seenImage = false;

  get complete(): boolean {
    return this.entries < (this.seenImage ? LOOK_ENTRIES : LOOK_ENTRIES_WITHOUT_IMAGE);
  }

  async folders(folder: string): Promise<string[]> {
    return (await this.read(folder)).filter((entry) => entry.isDirectory() && !PROJECT_FOLDERS.has(entry.name)).map((entry) => entry.name);
  }

  /** Images in a folder and below it, and whether most of what lies directly in it are images. */
  async count(folder: string, depth: number): Promise<{ images: number; isClass: boolean }> {
    let direct = 0;
    let below = 0;
    let others = 0;
    for (const entry of await this.read(folder)) {
      if (entry.isDirectory()) {
        if (depth < LOOK_DEPTH && !PROJECT_FOLDERS.has(entry.name)) below += (await this.count(path.join(folder, entry.name), depth + 1)).images;
      } else if (hasDecodedExtension(entry.name)) direct += 1;
      else others += 1;
    }
    if (direct > 0) this.seenImage = true;
    return { images: direct + below, isClass: direct > 0 && direct >= others };
  }

  /** Visible entries, as long as the bounds allow; a folder that can't be read counts as empty. */
  private async read(folder: string): Promise<Dirent[]> {
    if (!this.complete) return [];
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    this.entries += entries.length;
    return entries.filter((entry) => !isIgnored(entry.name));
  }
}

/** Hidden, or left by an operating system or an archiver. */
export function isIgnored(name: string): boolean {
  return name.startsWith('.') || IGNORED.has(name.toLowerCase());
}

async function requireFolder(folder: string): Promise<void> {
  let info: Stats;
  try {
    info = await stat(folder);
  } catch (error) {
    const code = errorCode(error);
    throw code === 'ENOENT'
      ? new ThawError('input', 'not-a-folder', `There is no folder ${folder}`, 'Check the path', { cause: error })
      : new ThawError('input', 'unreadable-folder', `The folder ${folder} can't be read (${code})`, 'Check its permissions', { cause: error });
  }
  if (!info.isDirectory()) throw new ThawError('input', 'not-a-folder', `${folder} is a file, where a dataset folder is expected`, 'Choose the folder that holds one subfolder for each class');
}

async function inParallel<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let from = 0; from < items.length; from += STATS) results.push(...await Promise.all(items.slice(from, from + STATS).map(work)));
  return results;
}

/** The same order on every machine, whatever its language. */
export function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `"a", "b", "c" and 12 more` */
export function names(list: readonly string[], shown = 3): string {
  const first = list.slice(0, shown).map(quote).join(', ');
  return list.length > shown ? `${first} and ${formatCount(list.length - shown)} more` : first;
}

function quote(name: string): string {
  return JSON.stringify(name);
}

/** `ENOENT`, or the message of an error that has no code. */
export function errorCode(error: unknown): string {
  return error instanceof Error ? ('code' in error && typeof error.code === 'string' ? error.code : error.message) : String(error);
}
