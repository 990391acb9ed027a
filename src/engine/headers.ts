// TensorFlow's C headers, which only the build of the addon needs. They come out of the same wheel as the libraries; the product keeps none.
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { ThawError } from '../protocol/errors.js';
import { cacheFolder } from '../storage/folders.js';
import { pinsFor, TENSORFLOW_VERSION } from './pins.js';
import { extractFromWheel, fetchWheel, type DownloadProgress } from './pipWheel.js';
import { wheelFolder } from './provide.js';

const INCLUDE = 'tensorflow/include/';
/** The C API and what it includes: 237 files of the wheel's 13,085. */
const WANTED = /^tensorflow\/include\/(?:tensorflow\/c|tensorflow\/core\/platform|tensorflow\/core\/common_runtime\/next_pluggable_device\/c|tsl\/platform|xla\/tsl\/c)\/[^.]*\.h$/;

/**
 * The folder to compile with (`-I`), from the cache or out of the wheel. A fetched wheel is left for `provideRuntime`, which needs it next and removes it.
 * @throws ThawError of kind `engine`: what `fetchWheel` and `extractFromWheel` throw
 */
export async function provideHeaders(options: {
  onProgress?: (report: DownloadProgress) => void;
  signal?: AbortSignal;
  environment?: NodeJS.ProcessEnv;
} = {}): Promise<string> {
  const { environment = process.env, ...rest } = options;
  const folder = path.join(cacheFolder(environment), 'build');
  // Another selection, another folder: a cache filled by an earlier one lacks files.
  const selection = createHash('sha256').update(WANTED.source).digest('hex').slice(0, 8);
  const target = path.join(folder, `tensorflow-${TENSORFLOW_VERSION}-include-${selection}`);
  if (existsSync(target)) return target;
  const [{ wheel }] = pinsFor().packages;
  const file = await fetchWheel(wheel, { folder: wheelFolder(environment), environment, ...rest });
  const temporary = path.join(folder, `.headers-${process.pid}-${randomBytes(4).toString('hex')}`);
  await mkdir(temporary, { recursive: true });
  try {
    const extracted = await extractFromWheel(
      file,
      (entry) => (WANTED.test(entry) ? path.join(temporary, entry.slice(INCLUDE.length)) : undefined),
      options.signal === undefined ? {} : { signal: options.signal },
    );
    if (extracted.length === 0) throw new ThawError('engine', 'wheel-damaged', `${wheel.file} holds no C headers`, 'Report it: the pinned package is not what it was');
    try {
      await rename(temporary, target);
    } catch (error) {
      if (!existsSync(target)) throw error; // else another build was first
    }
    return target;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}
