// The files of a folder and of the folders in it. Node's own `recursive` came with 20.1, its `parentPath` with 20.12, and before that they
// are silently not there.
import { readdir } from 'node:fs/promises';
import path from 'node:path';

/**
 * The regular files below a folder, by their paths relative to it; a link is none, and is not followed. What goes meanwhile is passed over.
 * @throws the file system's error when the folder itself can't be read
 */
export async function* filesBelow(folder: string, within = ''): AsyncGenerator<string> {
  const entries = await readdir(path.join(folder, within), { withFileTypes: true }).catch((error: unknown) => {
    if (within !== '' && (error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  for (const entry of entries) {
    const name = path.join(within, entry.name);
    if (entry.isDirectory()) yield* filesBelow(folder, name);
    else if (entry.isFile()) yield name;
  }
}
