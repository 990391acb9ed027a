// Finds a Chromium for the UI tests: an installed Chrome or Chromium, else Playwright's own, else Debian's package when root.
// Node built-ins only, but for playwright-core, which is loaded when it is needed.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { run, ROOT } from './steps.mjs';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const PLACES = ['/opt/google/chrome/chrome', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome', '/Applications/Chromium.app/Contents/MacOS/Chromium'];

/** The path of a browser that starts, or undefined. `CHROMIUM` names one. */
export async function provideChromium() {
  return await findChromium() ?? await installPlaywrights() ?? await installDebians();
}

async function findChromium() {
  const onPath = (process.env.PATH ?? '').split(path.delimiter).flatMap((folder) => NAMES.map((name) => path.join(folder, name)));
  return [process.env.CHROMIUM, ...onPath, ...PLACES, await playwrights()].find((file) => file !== undefined && starts(file));
}

async function playwrights() {
  const { chromium } = await import('playwright-core');
  return chromium.executablePath();
}

async function installPlaywrights() {
  const cli = path.join(ROOT, 'node_modules', 'playwright-core', 'cli.js');
  // With no way to its download host it gives up within seconds, not minutes.
  const env = { ...process.env, PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT: '10000' };
  await run(process.execPath, [cli, 'install', 'chromium'], { env, stdio: ['ignore', 'inherit', 'ignore'], timeout: 300_000 }).catch(() => undefined);
  const file = await playwrights();
  return starts(file) ? file : undefined;
}

async function installDebians() {
  if (process.getuid?.() !== 0 || !fs.existsSync('/usr/bin/apt-get')) return undefined;
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const quiet = { env, stdio: ['ignore', 'ignore', 'inherit'] };
  await run('apt-get', ['update', '-qq'], quiet).catch(() => undefined); // an old list may do
  await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], quiet).catch(() => undefined);
  return ['/usr/bin/chromium'].find(starts);
}

function starts(file) {
  return fs.existsSync(file) && spawnSync(file, ['--version', '--no-sandbox'], { stdio: 'ignore', timeout: 30_000 }).status === 0;
}
