// Images without classes: files and folders as a person names them, for prediction.
import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { ThawError } from '../protocol/errors.js';
import { hasImageExtension } from './imageFormat.js';
import { errorCode, isIgnored } from './listing.js';

const MAX_DEPTH = 32;

/**
 * The images named: a file as it is, whatever its name; of a folder every file with an image's extension, subfolders too, sorted by name.
 * Hidden files are passed over, linked folders not followed. One folder's names are in memory at a time.
 * @returns absolute paths
 * @throws ThawError of kind `input`: `no-such-image` for a name that is nothing, `unreadable-folder`
 */
export async function* unlabelledImages(named: readonly string[]): AsyncGenerator<string, void, undefined> {
  for (const name of named) {
    const file = path.resolve(name);
    const found = await stat(file).catch((error: unknown) => {
      throw new ThawError('input', 'no-such-image', `There is no image or folder ${file} (${errorCode(error)})`, 'Check the path', { cause: error });
    });
    if (found.isDirectory()) yield* imagesIn(file, 0);
    else yield file;
  }
}

async function* imagesIn(folder: string, depth: number): AsyncGenerator<string, void, undefined> {
  let entries: Dirent[];
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    throw new ThawError('input', 'unreadable-folder', `The folder ${folder} can't be read (${errorCode(error)})`, 'Check its permissions', { cause: error });
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    if (isIgnored(entry.name)) continue;
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) {
      if (depth < MAX_DEPTH) yield* imagesIn(full, depth + 1);
    } else if (hasImageExtension(entry.name)) {
      yield full;
    }
  }
}
