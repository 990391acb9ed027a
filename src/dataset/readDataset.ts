// A dataset folder up to the hashes of its images: what everything begins with that looks at a whole dataset.
import { requireTrainable } from './assemble.js';
import { hashImages, type ContentHashes } from './hashing.js';
import { listDataset, type Listing } from './listing.js';

export interface ReadDataset {
  readonly listing: Listing;
  readonly hashes: ContentHashes;
}

/**
 * Lists a folder, refuses one that can't be trained on whatever its images are, and hashes these; undefined when the signal ended it.
 * @throws ThawError as `listDataset` and `requireTrainable`
 */
export async function readDataset(folder: string, options: { splitSeed: number; signal?: AbortSignal | undefined; onProgress?: ((done: number, total: number) => void) | undefined }): Promise<ReadDataset | undefined> {
  const { splitSeed, signal, onProgress } = options;
  try {
    const listing = await listDataset(folder, signal && { signal });
    requireTrainable(listing);
    return { listing, hashes: await hashImages(listing, { splitSeed, ...(signal !== undefined && { signal }), ...(onProgress !== undefined && { onProgress }) }) };
  } catch (error) {
    if (signal?.aborted === true && error === signal.reason) return undefined;
    throw error;
  }
}
