// Whose unfinished file or folder is it? Its name carries the host and the pid of the process that works on it.
import os from 'node:os';

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
