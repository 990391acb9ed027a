// A run folder may come with a cloned repository, so every look at it is guarded: no link is followed, no read is unbounded, no pipe is waited for.
import { constants, lstatSync, realpathSync, type Stats } from 'node:fs';
import { lstat, open, realpath, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { ThawError } from '../protocol/errors.js';
import { workspaceOf } from './datasetFolder.js';

/** Longest line of a `.ndjson` file, bytes. */
export const MAX_LINE_BYTES = 2 ** 20;
/** Largest file that is read from a run folder, bytes. */
export const MAX_FILE_BYTES = 64 * 2 ** 20;
/** Largest run.json: it is parsed at once, for every run of a list. With twenty thousand classes, and all that can be left out, one takes about 5 MiB. */
export const MAX_RECORD_BYTES = 8 * 2 ** 20;
/** Of a file that is read piece by piece; one of events takes some hundredths of a second. */
const PIECE_BYTES = 2 ** 18;

/** Something in a run's path is not what it must be. Its message is a plain reason, without a full stop. */
export class UnsafePath extends Error {
  override readonly name = 'UnsafePath';
}

/** Flags that keep an open from following a link or waiting for a pipe; 0 where the platform has none (there lstat alone guards). */
export const GUARDED = ((constants as Partial<typeof constants>).O_NOFOLLOW ?? 0) | ((constants as Partial<typeof constants>).O_NONBLOCK ?? 0);

/**
 * The folder that must contain a run, where the caller knows no better: the one that holds `.thaw`, so that `.thaw` and `runs` are looked at
 * too; for `--runs DIR` that very folder, which may be a link since the person named it.
 */
export function defaultWithin(runDirectory: string): string {
  const runsFolder = path.dirname(path.resolve(runDirectory));
  return workspaceOf(runsFolder) ?? runsFolder;
}

/**
 * Makes sure that each folder from `within` (which itself may be a link: the person chose it) down to `directory` is a real folder and that
 * the whole lies inside. Returns the real path.
 * @throws UnsafePath when one is a link, is no folder, or leads out; the file system's error (`ENOENT`) when one is missing
 */
export function assertRealFolders(directory: string, within: string): string {
  const root = path.resolve(within);
  const target = path.resolve(directory);
  const relative = path.relative(root, target);
  if (relative === '..' || relative.startsWith(`..${path.sep}`) || path.isAbsolute(relative)) throw new UnsafePath(`it lies outside ${root}`);
  let current = root;
  for (const part of relative === '' ? [] : relative.split(path.sep)) {
    current = path.join(current, part);
    assertFolder(lstatSync(current), part);
  }
  const real = realpathSync(target);
  if (real !== path.join(realpathSync(root), relative)) throw new UnsafePath(`its real path lies outside ${root}`);
  return real;
}

function assertFolder(found: Stats, name: string): void {
  if (found.isSymbolicLink()) throw new UnsafePath(`${JSON.stringify(name)} is a link, and links are not followed`);
  if (!found.isDirectory()) throw new UnsafePath(`${JSON.stringify(name)} is no folder`);
}

/** Like `assertRealFolders`, for those who write: what is wrong is a ThawError that a person can act on. */
export function assertWritableFolders(directory: string, within: string): string {
  try {
    return assertRealFolders(directory, within);
  } catch (error) {
    if (error instanceof UnsafePath) throw unsafePathError(directory, error);
    throw error;
  }
}

export function unsafePathError(target: string, cause: UnsafePath): ThawError {
  return new ThawError('run', 'unsafe-path', `Thaw does not use ${target}: ${cause.message}`, 'Remove the link, or train with another runs folder', { cause });
}

/** Opens a real file to read it; undefined when there is none. @throws UnsafePath when it is a link, a pipe or anything else */
export async function openToRead(file: string): Promise<{ handle: FileHandle; stats: Stats } | undefined> {
  const name = path.basename(file);
  let handle: FileHandle | undefined;
  try {
    // Looked at first: the error of an open that refuses a link differs from platform to platform, and opening a device may have effects.
    assertFile(await lstat(file), name);
    handle = await open(file, constants.O_RDONLY | GUARDED);
    const stats = await handle.stat();
    assertFile(stats, name);
    return { handle, stats };
  } catch (error) {
    await handle?.close();
    if (isMissing(error)) return undefined;
    if (isCode(error, 'ELOOP')) throw new UnsafePath(`${JSON.stringify(name)} is a link, and links are not followed`);
    throw error;
  }
}

function assertFile(found: Stats, name: string): void {
  if (found.isSymbolicLink()) throw new UnsafePath(`${JSON.stringify(name)} is a link, and links are not followed`);
  if (!found.isFile()) throw new UnsafePath(`${JSON.stringify(name)} is no file`);
}

/** A whole file, up to `limit` bytes; undefined when there is none. @throws UnsafePath when it is larger, a link or no file */
export async function readGuarded(file: string, limit = MAX_FILE_BYTES): Promise<Buffer | undefined> {
  const opened = await openToRead(file);
  if (opened === undefined) return undefined;
  try {
    return await readBetween(opened.handle, 0, opened.stats.size, path.basename(file), limit);
  } finally {
    await opened.handle.close();
  }
}

/** Bytes `[from, to)` of an open file, fewer when it ends before. @throws UnsafePath when `to` is past `limit` */
export async function readBetween(handle: FileHandle, from: number, to: number, name: string, limit = MAX_FILE_BYTES): Promise<Buffer> {
  assertSize(to, name, limit);
  const buffer = Buffer.allocUnsafe(Math.max(0, to - from));
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, from + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

/** The same in pieces, whose reading lets the event loop go on with other work. */
export async function* readPieces(handle: FileHandle, from: number, to: number, name: string, limit = MAX_FILE_BYTES): AsyncGenerator<Buffer, void, undefined> {
  assertSize(to, name, limit);
  for (let at = from; at < to;) {
    const piece = await readBetween(handle, at, Math.min(to, at + PIECE_BYTES), name, limit);
    if (piece.length === 0) return;
    at += piece.length;
    yield piece;
  }
}

function assertSize(bytes: number, name: string, limit: number): void {
  if (bytes > limit) throw new UnsafePath(`${JSON.stringify(name)} is larger than ${limit / 2 ** 20} MiB`);
}

/** Whether the path is a real file or folder's, a link's own, or nothing's: never follows. */
export async function lstatIfThere(target: string): Promise<Stats | undefined> {
  try {
    return await lstat(target);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export async function realPathIfThere(target: string): Promise<string | undefined> {
  try {
    return await realpath(target);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export function isMissing(error: unknown): boolean {
  return isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR');
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}
