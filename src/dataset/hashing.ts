// What an image is, whatever its name: the hash of its bytes, and its place in the order by which a class is split.
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { oversized } from './imageFormat.js';
import { errorCode, type Listing } from './listing.js';

export interface ContentHash {
  /** SHA-256 of the file's bytes, hexadecimal. */
  readonly sha256: string;
  /** SHA-256 over the split seed in decimal digits, one zero byte, and the file's bytes, hexadecimal; the content hash where the folder gives the split. */
  readonly order: string;
}

/** By path, and beside them the files that could not be read. */
export class ContentHashes extends Map<string, ContentHash> {
  /** Path to reason. */
  readonly unreadable = new Map<string, string>();
}

/** Files read at once: enough to wait for a slow disk, few enough to hold in memory. */
const FILES = 8;
/** Files are read and hashed in pieces of this size. */
const PIECE = 1 << 20;
const PROGRESS_EVERY_MS = 250;

/**
 * Reads every image once for both hashes. A file that can't be read is in `unreadable`, with the reason, and nowhere else.
 * @param options `onProgress` is told at most four times a second, and when all are done
 * @throws the signal's reason once it is aborted, also in the middle of a file
 */
export async function hashImages(
  listing: Pick<Listing, 'root' | 'layout' | 'images'>,
  options: { splitSeed: number; onProgress?: (done: number, total: number) => void; signal?: AbortSignal },
): Promise<ContentHashes> {
  const hashes = new ContentHashes();
  const found = new Map<string, ContentHash>();
  const { images } = listing;
  const seed = listing.layout === 'split' ? options.splitSeed : undefined;
  let next = 0;
  let done = 0;
  let toldAt = performance.now();
  const work = async (): Promise<void> => {
    const piece = Buffer.allocUnsafe(PIECE);
    for (let image = images[next++]; image !== undefined; image = images[next++]) {
      options.signal?.throwIfAborted();
      try {
        const hashed = await hashFile(path.join(listing.root, image.path), seed, piece, options.signal);
        if (typeof hashed === 'string') hashes.unreadable.set(image.path, hashed);
        else found.set(image.path, hashed);
      } catch (error) {
        options.signal?.throwIfAborted();
        hashes.unreadable.set(image.path, `The file can't be read (${errorCode(error)})`);
      }
      done += 1;
      if (done < images.length && performance.now() - toldAt < PROGRESS_EVERY_MS) continue;
      toldAt = performance.now();
      options.onProgress?.(done, images.length);
    }
  };
  await Promise.all(Array.from({ length: Math.min(FILES, images.length) }, work));
  for (const { path: file } of images) { // in the listing's order, whatever the disk's
    const hash = found.get(file);
    if (hash !== undefined) hashes.set(file, hash);
  }
  return hashes;
}

/** The hashes, or why there are none. */
async function hashFile(file: string, splitSeed: number | undefined, piece: Buffer, signal: AbortSignal | undefined): Promise<ContentHash | string> {
  const content = createHash('sha256');
  const order = splitSeed === undefined ? undefined : createHash('sha256').update(`${String(splitSeed)}\0`);
  const handle = await open(file, 'r');
  try {
    const tooLarge = oversized((await handle.stat()).size); // it may have grown since it was listed
    if (tooLarge !== undefined) return tooLarge;
    for (;;) {
      signal?.throwIfAborted();
      const { bytesRead } = await handle.read(piece, 0, PIECE, null);
      if (bytesRead === 0) break;
      content.update(piece.subarray(0, bytesRead));
      order?.update(piece.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
  const sha256 = content.digest('hex');
  return { sha256, order: order?.digest('hex') ?? sha256 };
}
