// Whose unfinished file or folder is it? Its name carries the host and the pid of the process that works on it.
import { randomBytes } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

const STALE_AFTER_MS = 24 * 3600 * 1000;

/** `.set-up-<host>-<pid>-<random>`: a name for this process to work under. */
export function ownedName(prefix: string): string {
  return `${prefix}${hostMark()}-${process.pid}-${randomBytes(4).toString('hex')}`;
}

/**
 * Removes what starts with `prefix` and was left behind: by a process of this host that is gone, or more than a day ago.
 * @param rescue is given each such folder before it goes
 */
export async function removeAbandoned(folder: string, prefix: string, rescue?: (abandoned: string) => Promise<void>): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(prefix)) continue;
    const abandoned = path.join(folder, name);
    const owner = /^(?<host>[0-9a-f]+)-(?<pid>\d+)-[0-9a-f]+$/.exec(name.slice(prefix.length))?.groups;
    const gone = owner?.['host'] === hostMark() && !isRunning(Number(owner['pid']));
    const old = await stat(abandoned).then(({ mtimeMs }) => Date.now() - mtimeMs > STALE_AFTER_MS, () => false); // removed meanwhile by another
    if (!gone && !old) continue;
    await rescue?.(abandoned);
    await rm(abandoned, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** This host in a file's name: a cache can lie on a shared disk, where another host's pids say nothing. */
export function hostMark(): string {
  return Buffer.from(os.hostname()).toString('hex').slice(0, 32) || '00';
}

/** Whether a process of this host exists, whoever's it is. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
