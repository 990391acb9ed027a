// Where Thaw keeps things that belong to the person, not to a workspace.
import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

/** The per-user cache: runtime, weights, pixels, features. `THAW_HOME`, else `$XDG_CACHE_HOME/thaw` or the platform's own place. */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env, platform: NodeJS.Platform = process.platform): string {
  const own = absolute(environment['THAW_HOME']);
  if (own !== undefined) return own;
  const xdg = absolute(environment['XDG_CACHE_HOME']);
  if (xdg !== undefined) return path.join(xdg, 'thaw');
  if (platform === 'darwin') return path.join(homedir(), 'Library', 'Caches', 'thaw');
  if (platform === 'win32') return path.join(absolute(environment['LOCALAPPDATA']) ?? path.join(homedir(), 'AppData', 'Local'), 'thaw', 'Cache');
  return path.join(homedir(), '.cache', 'thaw');
}

/**
 * The per-user state: which process trains which run, and who has the device. Readable by its owner only (0700), since processes are
 * ended by what stands here. `$THAW_HOME/state`, else `$XDG_STATE_HOME/thaw` or `~/.local/state/thaw`. Created when missing.
 */
export function stateFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const own = absolute(environment['THAW_HOME']);
  const xdg = absolute(environment['XDG_STATE_HOME']);
  const folder = own !== undefined ? path.join(own, 'state')
    : xdg !== undefined ? path.join(xdg, 'thaw')
    : path.join(homedir(), '.local', 'state', 'thaw');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** A relative path would depend on the working directory, which may be a workspace: it counts as unset. */
function absolute(value: string | undefined): string | undefined {
  return value !== undefined && path.isAbsolute(value) ? value : undefined;
}
