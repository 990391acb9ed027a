// The addon that tfjs speaks to TensorFlow through. It finds the two libraries in its own folder (rpath $ORIGIN), so it has to lie beside them.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readlink, rename, rm, stat, symlink } from 'node:fs/promises';
import path from 'node:path';
import { ThawError } from '../protocol/errors.js';
import { writeFileAtomic } from '../storage/atomicFile.js';
import { cacheFolder } from '../storage/folders.js';
import { ADDON_FILE, LIBRARY_FILES, LIBRARY_FOLDER } from './pins.js';
import type { Runtime } from './runtime.js';

const LINKED_PREFIX = 'linked-';
const DANGLING_AFTER_MS = 60_000;

/** The addon that this build of Thaw carries, beside the bundle that runs; undefined when run from elsewhere (a test). */
function carriedAddon(): string | undefined {
  const file = path.join(__dirname, ADDON_FILE);
  return existsSync(file) ? file : undefined;
}

/**
 * Puts the addon beside the libraries unless the same one is there. Replaced whole, so that a trainer that has the old one open keeps it.
 * @returns whether something was written
 */
export async function placeAddon(addon: string, libraryFolder: string): Promise<boolean> {
  const target = path.join(libraryFolder, ADDON_FILE);
  if (sameContent(addon, target)) return false;
  await writeFileAtomic(target, readFileSync(addon), { mode: 0o755 });
  return true;
}

/**
 * The addon to load for a runtime. A configured folder is somebody else's: where it doesn't hold our addon, a folder of the cache does, with
 * links to its libraries and its nvidia/ (the loader takes $ORIGIN from the path it was given, so `$ORIGIN/../nvidia` leads through the link).
 * @param addon default: the one that this build carries
 * @throws ThawError `addon-missing`
 */
export async function addonFor(runtime: Runtime, environment: NodeJS.ProcessEnv, addon = carriedAddon()): Promise<string> {
  const libraries = path.join(runtime.directory, LIBRARY_FOLDER);
  const beside = path.join(libraries, ADDON_FILE);
  if (addon === undefined) {
    if (existsSync(beside)) return beside;
    throw new ThawError('engine', 'addon-missing', `${ADDON_FILE} is neither beside Thaw's program nor in ${libraries}`, 'Install Thaw again, or build it');
  }
  if (sameContent(addon, beside)) return beside;
  if (runtime.source === 'cache') {
    await placeAddon(addon, libraries);
    return beside;
  }
  const runtimes = path.join(cacheFolder(environment), 'runtimes');
  const linked = path.join(runtimes, `${LINKED_PREFIX}${createHash('sha256').update(runtime.directory).digest('hex').slice(0, 16)}`);
  await mkdir(path.join(linked, LIBRARY_FOLDER), { recursive: true });
  for (const file of LIBRARY_FILES) await placeLink(path.join(libraries, file), path.join(linked, LIBRARY_FOLDER, file));
  const nvidia = path.join(runtime.directory, 'nvidia');
  if (existsSync(nvidia)) await placeLink(nvidia, path.join(linked, 'nvidia'));
  await placeAddon(addon, path.join(linked, LIBRARY_FOLDER));
  await removeDangling(runtimes).catch(() => undefined); // housekeeping only: the next one tries again
  return path.join(linked, LIBRARY_FOLDER, ADDON_FILE);
}

/** Removes the folders of links to runtimes that are gone. */
async function removeDangling(runtimes: string): Promise<void> {
  for (const name of await readdir(runtimes)) {
    if (!name.startsWith(LINKED_PREFIX) || existsSync(path.join(runtimes, name, LIBRARY_FOLDER, LIBRARY_FILES[0]))) continue;
    // Another process may be making it at this moment: then it is not old.
    const age = await stat(path.join(runtimes, name)).then(({ mtimeMs }) => Date.now() - mtimeMs, () => 0);
    if (age > DANGLING_AFTER_MS) await rm(path.join(runtimes, name), { recursive: true, force: true });
  }
}

/** Makes `link` lead to `target`, by a rename: another process that does the same at once harms nothing. */
async function placeLink(target: string, link: string): Promise<void> {
  try {
    if (await readlink(link) === target) return;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const temporary = `${link}.${process.pid}.tmp`;
  await symlink(target, temporary);
  await rename(temporary, link);
}

function sameContent(first: string, second: string): boolean {
  return existsSync(first) && existsSync(second) && readFileSync(first).equals(readFileSync(second));
}
