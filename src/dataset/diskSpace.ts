// Is there room on the disk? Asked before a run, since a run that ends in a full disk helps nobody.
import { statfs } from 'node:fs/promises';
import path from 'node:path';
import { formatBytes } from '../metrics/format.js';
import { ThawError } from '../protocol/errors.js';

/** Left free beside what a run needs, for the run folder and everybody else. */
const RESERVE_BYTES = 256 * 2 ** 20;

/** Bytes that this person may still write where a folder is or will be. */
export async function freeBytes(folder: string): Promise<number> {
  for (let existing = path.resolve(folder); ; existing = path.dirname(existing)) {
    try {
      const { bavail, bsize } = await statfs(existing);
      return bavail * bsize;
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (!(code === 'ENOENT' || code === 'ENOTDIR') || path.dirname(existing) === existing) throw error;
    }
  }
}

/** @throws ThawError `disk-full` with both numbers when a folder's disk has no room for that many bytes */
export async function requireDiskSpace(folder: string, bytesNeeded: number): Promise<void> {
  const free = await freeBytes(folder);
  if (free >= bytesNeeded + RESERVE_BYTES) return;
  throw new ThawError('run', 'disk-full',
    `This run needs ${formatBytes(bytesNeeded + RESERVE_BYTES)} on the disk of ${folder}, and ${formatBytes(free)} are free`,
    'Free some space, clear Thaw\'s cache, or name another disk by THAW_HOME');
}
