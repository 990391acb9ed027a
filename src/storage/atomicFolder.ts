// A folder that is there whole, or not at all.
import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { ThawError } from '../protocol/errors.js';
import { writeFileAtomic } from './atomicFile.js';

/**
 * Writes files to a temporary folder beside `folder`, lets `check` look at them there, and gives the folder its name. When anything fails,
 * nothing is left. An empty folder of that name is replaced; anything else is never touched. Folders above it are made.
 * @param check gets the temporary folder's path; its error is the caller's
 * @throws ThawError `folder-exists`
 */
export async function writeFolderAtomic<T>(folder: string, files: ReadonlyMap<string, Uint8Array>, check: (temporary: string) => Promise<T>): Promise<T> {
  const parent = path.dirname(folder);
  await mkdir(parent, { recursive: true });
  const temporary = path.join(parent, `.${path.basename(folder)}.${randomBytes(6).toString('hex')}.tmp`);
  await mkdir(temporary);
  try {
    for (const [name, content] of files) await writeFileAtomic(path.join(temporary, name), content);
    const checked = await check(temporary);
    // Looked at first: rename would replace a file, or an empty folder's link, on some platforms.
    if (await isTaken(folder)) throw taken(folder);
    await rename(temporary, folder).catch((error: unknown) => {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      throw code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR' ? taken(folder, error) : error;
    });
    return checked;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** @throws ThawError `folder-exists` when something has the name already, but for an empty folder: asked before long work */
export async function requireFreeFolder(folder: string): Promise<void> {
  if (await isTaken(folder)) throw taken(folder);
}

async function isTaken(folder: string): Promise<boolean> {
  try {
    return !(await lstat(folder)).isDirectory() || (await readdir(folder)).length > 0;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

function taken(folder: string, cause?: unknown): ThawError {
  return new ThawError('input', 'folder-exists', `${folder} is there already`, 'Choose another folder, or remove it', { cause });
}
