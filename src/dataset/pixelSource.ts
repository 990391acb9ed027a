// Images as squares of pixels, in the order asked for: from the cache, else decoded and kept there.
//
// Reading, decoding and writing run in libuv's threads, and whoever takes the pixels blocks the event loop with tensor work for a tenth of a
// second at a time. So several batches are under way at once: while the loop is blocked, every image that is waiting in libuv's queue moves
// on by one step. libuv has four threads unless UV_THREADPOOL_SIZE says otherwise, before the process starts: the number of cores is right.
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import path from 'node:path';
import { ThawError } from '../protocol/errors.js';
import type { ContentCache } from './contentCache.js';
import { decodeImage, decodeWholeImage, readImageFile, type Preprocessing, type WholeImage } from './decode.js';
import { errorCode } from './listing.js';
import { readAhead } from './readAhead.js';

/** An image by its place and its content. */
export interface SourceImage {
  /** Relative to the source's root. */
  readonly path: string;
  /** SHA-256 of the file's bytes, hexadecimal. */
  readonly sha256: string;
}

/** `pixels` or `reason`, never both. */
export interface SourceItem {
  /** Index into the images asked for. */
  readonly index: number;
  /** `[size, size, 3]` bytes. */
  readonly pixels?: Uint8Array;
  /** Why there are none: a sentence that stands by itself after the file's name. */
  readonly reason?: string;
}

/** `image` or `reason`, never both. */
export interface WholeSourceItem {
  readonly index: number;
  readonly image?: WholeImage;
  readonly reason?: string;
}

/** Images under way at once: four batches of 32. */
const READ_AHEAD = 128;
/** Files larger than this are read and decoded one at a time: so many under way would fill the memory. */
const LARGE_FILE_BYTES = 16 * 2 ** 20;

export class PixelSource {
  readonly preprocessing: Preprocessing;
  private readonly root: string;
  private readonly cache: ContentCache;
  private readonly readAhead: number;
  private readonly onCacheProblem: ((message: string) => void) | undefined;
  private readonly writes = new Set<Promise<void>>();
  private cacheProblemTold = false;
  /** The last large file's decoding. */
  private large: Promise<unknown> = Promise.resolve();

  /** @param options.onCacheProblem told once when pixels can't be kept, because the disk is full for example; they are still handed out */
  constructor(options: { root: string; preprocessing: Preprocessing; cache: ContentCache; readAhead?: number; onCacheProblem?: (message: string) => void }) {
    this.root = options.root;
    this.preprocessing = options.preprocessing;
    this.cache = options.cache;
    this.readAhead = Math.max(1, options.readAhead ?? READ_AHEAD);
    this.onCacheProblem = options.onCacheProblem;
  }

  /**
   * The images' pixels, in order. One that can't be decoded comes with its reason, and the others go on.
   * @throws the signal's reason once it is aborted
   */
  async* stream(images: readonly SourceImage[], signal?: AbortSignal): AsyncGenerator<SourceItem, void, undefined> {
    try {
      yield* readAhead(images.entries(), this.readAhead, ([index, image]) => this.item(image, index), signal);
    } finally {
      await this.flush();
    }
  }

  /** The whole resized images, in order, decoded each time: they are kept nowhere. @throws the signal's reason once it is aborted */
  streamWhole(images: readonly SourceImage[], signal?: AbortSignal): AsyncGenerator<WholeSourceItem, void, undefined> {
    return readAhead(images.entries(), this.readAhead, async ([index, image]): Promise<WholeSourceItem> => {
      try {
        return { index, image: await this.decode(image, decodeWholeImage) };
      } catch (error) {
        return { index, reason: reasonOf(error) };
      }
    }, signal);
  }

  /** One image's pixels. @throws ThawError as `decodeImage`, and `changed-image` when the file is no longer the one that was hashed */
  async get(image: SourceImage): Promise<Uint8Array> {
    const key = pixelKey(image.sha256, this.preprocessing);
    const expected = this.preprocessing.size ** 2 * 3;
    const kept = await this.cache.read('pixels', key);
    if (kept?.length === expected) return kept;
    const pixels = await this.decode(image, decodeImage);
    const write = this.cache.write('pixels', key, pixels).catch((error: unknown) => { this.tellCacheProblem(error); });
    this.writes.add(write);
    void write.then(() => this.writes.delete(write));
    return pixels;
  }

  /** Waits until all that is to be kept is on its way to the disk. */
  async flush(): Promise<void> {
    await Promise.all(this.writes);
  }

  private async item(image: SourceImage, index: number): Promise<SourceItem> {
    try {
      return { index, pixels: await this.get(image) };
    } catch (error) {
      return { index, reason: reasonOf(error) };
    }
  }

  private async decode<T>(image: SourceImage, decoder: Decoder<T>): Promise<T> {
    const file = path.join(this.root, image.path);
    if (sizeOf(file) <= LARGE_FILE_BYTES) return this.decodeFile(file, image.sha256, decoder);
    const decoded = this.large.then(() => this.decodeFile(file, image.sha256, decoder));
    this.large = decoded.catch(() => undefined);
    return decoded;
  }

  private async decodeFile<T>(file: string, sha256: string, decoder: Decoder<T>): Promise<T> {
    const bytes = await readImageFile(file);
    // Otherwise the pixels of another image would be kept under this one's name.
    if (createHash('sha256').update(bytes).digest('hex') !== sha256) {
      throw new ThawError('input', 'changed-image', 'The file has changed since it was listed', 'Train again');
    }
    return decoder(bytes, this.preprocessing);
  }

  private tellCacheProblem(error: unknown): void {
    if (this.cacheProblemTold) return;
    this.cacheProblemTold = true;
    this.onCacheProblem?.(`Decoded images can't be kept in the cache (${errorCode(error)}); they are decoded again each time`);
  }
}

type Decoder<T> = (bytes: Buffer, preprocessing: Preprocessing) => Promise<T>;

function reasonOf(error: unknown): string {
  return error instanceof ThawError ? error.message : `It can't be decoded (${errorCode(error)})`;
}

/** Bytes of a file; 0 when it can't be known: what is wrong, reading it says. */
function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch {
    return 0;
  }
}

/** Name of a pixel entry: the file's bytes and how they become pixels. */
export function pixelKey(sha256: string, preprocessing: Preprocessing): string {
  return `${sha256}-${preprocessing.id}-${preprocessing.size}`;
}

/** Bytes that the pixels of images will add to the cache: those that are not there yet. */
export async function missingPixelBytes(images: readonly Pick<SourceImage, 'sha256'>[], preprocessing: Preprocessing, cache: ContentCache): Promise<number> {
  return cache.missingBytes('pixels', images.map((image) => pixelKey(image.sha256, preprocessing)), preprocessing.size ** 2 * 3);
}
