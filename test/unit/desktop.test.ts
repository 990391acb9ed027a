// `npm start` and the desktop's VS Code: where its window is opened, with which arguments, and what happens when it fails.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { desktopMayOpen, openDesktop } from '../../scripts/desktop.mjs';

let folder: string;
beforeEach(() => { folder = mkdtempSync(path.join(tmpdir(), 'thaw-desktop-')); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

const never = new Promise<never>(() => undefined);

/** PATH with a `code` that is this shell script, and writes down its arguments. */
function desktop(script: string): NodeJS.ProcessEnv {
  writeFileSync(path.join(folder, 'code'), `#!/bin/sh\n[ "$1" = --version ] && exit 0\nprintf '%s\\n' "$@" > ${folder}/arguments\n${script}\n`, { mode: 0o755 });
  return { PATH: `${folder}:/usr/bin:/bin` };
}

function open(environment: NodeJS.ProcessEnv, interrupted: Promise<unknown> = never): Promise<boolean> {
  return openDesktop({ workspace: '/w/my pictures', extension: '/thaw', dataFolder: '/d/data', extensionsFolder: '/d/extensions', interrupted, environment });
}

test('a window comes up where there is a screen: not as root, not in a remote terminal', () => {
  const may = (environment: NodeJS.ProcessEnv, uid: number | undefined = 1000, platform: NodeJS.Platform = 'linux'): boolean => desktopMayOpen({ platform, uid, environment });
  assert.equal(may({ DISPLAY: ':0' }), true);
  assert.equal(may({ WAYLAND_DISPLAY: 'wayland-0' }), true);
  assert.equal(may({}), false);
  assert.equal(may({ DISPLAY: ':0' }, 0), false);
  for (const name of ['SSH_CONNECTION', 'VSCODE_IPC_HOOK_CLI', 'REMOTE_CONTAINERS', 'CODESPACES', 'WSL_DISTRO_NAME']) assert.equal(may({ DISPLAY: ':0', [name]: 'x' }), false, name);
  assert.equal(may({}, 501, 'darwin'), true);
  assert.equal(may({}, undefined, 'win32'), true);
});

test('it has data of its own, and Thaw under development', async () => {
  assert.equal(await open(desktop('exit 0')), true);
  assert.deepEqual(readFileSync(path.join(folder, 'arguments'), 'utf8').split('\n').slice(0, -1), [
    '--wait', '--new-window', '--user-data-dir', '/d/data', '--extensions-dir', '/d/extensions', '--extensionDevelopmentPath=/thaw', '/w/my pictures',
  ]);
});

test('one that fails, dies or isn\'t there leaves the field to the server', async () => {
  assert.equal(await open(desktop('exit 1')), false);
  assert.equal(await open(desktop('kill -SEGV $$')), false);
  rmSync(path.join(folder, 'arguments'));
  writeFileSync(path.join(folder, 'code'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  assert.equal(await open({ PATH: `${folder}:/usr/bin:/bin` }), false);
  rmSync(path.join(folder, 'code'));
  assert.equal(await open({ PATH: folder }), false);
  assert.equal(existsSync(path.join(folder, 'arguments')), false);
});

test('Ctrl-C is no failure, and ends it', async () => {
  const environment = desktop(`echo $$ > ${folder}/pid\nexec sleep 60`);
  const interrupted = (async () => { while (!existsSync(path.join(folder, 'pid'))) await new Promise((resolve) => setTimeout(resolve, 10)); })();
  assert.equal(await open(environment, interrupted), true);
  const pid = Number(readFileSync(path.join(folder, 'pid'), 'utf8'));
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
});
