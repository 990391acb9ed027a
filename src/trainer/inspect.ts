// The inspection job: the dataset as training would see it.
import path from 'node:path';
import { assembleDataset, runData } from '../dataset/assemble.js';
import { ContentCache } from '../dataset/contentCache.js';
import { PixelSource } from '../dataset/pixelSource.js';
import { readDataset } from '../dataset/readDataset.js';
import { DEFAULT_BACKBONE, type LeftOut, type RunData } from '../protocol/run.js';
import { cacheFolder } from '../storage/folders.js';
import { preprocessingFor } from './backbone.js';
import { cacheCapBytes } from './environment.js';

export interface Inspection {
  readonly name: string;
  readonly data: RunData;
  /** All of them; `data` lists the first 200. */
  readonly leftOut: readonly LeftOut[];
}

/**
 * Lists, hashes and decodes a dataset; decoded pixels go to the cache, where training finds them. `undefined` when aborted.
 * @throws ThawError of kind `input` when the folder can't be trained on, with the reason
 */
export async function inspectDataset(folder: string, options: { environment: NodeJS.ProcessEnv; splitSeed: number; signal: AbortSignal }): Promise<Inspection | undefined> {
  const read = await readDataset(folder, { splitSeed: options.splitSeed, signal: options.signal });
  if (read === undefined) return undefined;
  const { listing, hashes } = read;
  const cache = new ContentCache({ folder: path.join(cacheFolder(options.environment), 'images'), capBytes: cacheCapBytes(options.environment) });
  const source = new PixelSource({ root: listing.root, preprocessing: preprocessingFor(DEFAULT_BACKBONE), cache });
  const images = listing.images.flatMap((image) => {
    const content = hashes.get(image.path);
    return content === undefined ? [] : [{ path: image.path, sha256: content.sha256 }];
  });
  const unusable = new Map<string, string>();
  for await (const item of source.stream(images)) {
    if (options.signal.aborted) return undefined;
    if (item.pixels === undefined) unusable.set(images[item.index]?.path ?? '', item.reason ?? 'it could not be decoded');
  }
  const dataset = assembleDataset(listing, hashes, unusable, { splitSeed: options.splitSeed });
  return { name: dataset.name, data: runData(dataset), leftOut: dataset.leftOut };
}
