// The tests' own THAW_HOME, and the trainers that run under it.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** Where the person's TensorFlow and weights are: as src/storage/folders.ts says. */
function cacheFolder() {
  const { THAW_HOME: home, XDG_CACHE_HOME: xdg } = process.env;
  if (home !== undefined && path.isAbsolute(home)) return home;
  if (xdg !== undefined && path.isAbsolute(xdg)) return path.join(xdg, 'thaw');
  return process.platform === 'darwin' ? path.join(os.homedir(), 'Library', 'Caches', 'thaw') : path.join(os.homedir(), '.cache', 'thaw');
}

/**
 * Makes a THAW_HOME that shares the runtimes, which are only read, and the weights, of which a test may fetch more; and no cache and no state. What is
 * made for a TensorFlow that a test brings stays in it. Returns it.
 */
export function linkEngine(home) {
  const runtimes = path.join(cacheFolder(), 'runtimes');
  fs.mkdirSync(path.join(home, 'runtimes'), { recursive: true, mode: 0o700 });
  for (const name of fs.existsSync(runtimes) ? fs.readdirSync(runtimes).filter((each) => each.startsWith('tensorflow-')) : []) {
    fs.symlinkSync(path.join(runtimes, name), path.join(home, 'runtimes', name));
  }
  const weights = path.join(cacheFolder(), 'weights');
  if (fs.existsSync(weights)) fs.symlinkSync(weights, path.join(home, 'weights'));
  return home;
}

/**
 * Trainers whose THAW_HOME lies under a folder, by what /proc says: a person's own training, or another checkout's, is none of them.
 * @returns {{ pid: number, command: string }[]}
 */
export function trainersUnder(folder) {
  if (!fs.existsSync('/proc')) return [];
  return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const command = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      if (!command.some((part) => path.basename(part) === 'trainer.js')) return [];
      const home = fs.readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').find((entry) => entry.startsWith('THAW_HOME='))?.slice('THAW_HOME='.length);
      return home !== undefined && path.resolve(home).startsWith(folder + path.sep) ? [{ pid: Number(pid), command: command.join(' ').trim() }] : [];
    } catch { // it has ended meanwhile, or is another user's
      return [];
    }
  });
}
