// The desktop's VS Code, for `npm start`: whether its window could come up here, and opening it. Node built-ins only.
import { spawn, spawnSync } from 'node:child_process';

/** Set in terminals whose windows would open elsewhere, or whose `code` speaks to an editor on another system. */
const REMOTE = ['SSH_CONNECTION', 'VSCODE_IPC_HOOK_CLI', 'REMOTE_CONTAINERS', 'CODESPACES', 'WSL_DISTRO_NAME'];

/** Whether a window of the desktop's VS Code could come up: not as root, for whom it doesn't start, not in a remote terminal, not without a screen. */
export function desktopMayOpen({ platform, uid, environment }) {
  if (uid === 0 || REMOTE.some((name) => environment[name] !== undefined)) return false;
  return platform !== 'linux' || environment.DISPLAY !== undefined || environment.WAYLAND_DISPLAY !== undefined;
}

/**
 * Opens a window with data of its own and the extension under development, and waits until it is closed or `interrupted` settles.
 * @returns {Promise<boolean>} false when there is no `code` on PATH, or it fails
 */
export async function openDesktop({ workspace, extension, dataFolder, extensionsFolder, interrupted, environment = process.env }) {
  const shell = process.platform === 'win32'; // there it is a script
  if (spawnSync('code', ['--version'], { stdio: 'ignore', shell, env: environment }).status !== 0) return false;
  const args = ['--wait', '--new-window', '--user-data-dir', dataFolder, '--extensions-dir', extensionsFolder, `--extensionDevelopmentPath=${extension}`, workspace];
  console.log('  Opening VS Code. Ctrl-C, or closing its window, ends this.');
  const child = spawn('code', args, { stdio: 'inherit', shell, env: environment });
  const code = await Promise.race([
    interrupted.then(() => 0),
    new Promise((resolve) => {
      child.once('error', () => resolve(1));
      child.once('exit', (exit) => resolve(exit ?? 1));
    }),
  ]);
  child.kill();
  if (code !== 0) console.log('  The desktop\'s VS Code did not start: using its server instead.');
  return code === 0;
}
