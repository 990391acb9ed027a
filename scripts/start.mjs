// From a fresh checkout to a trained classifier in VS Code: `npm start [-- FOLDER]`.
// Sets up, builds, trains on the folder (without one: on a sample) by freeze and by a short finetune, then opens VS Code with Thaw on it.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { desktopMayOpen, openDesktop } from './desktop.mjs';
import { makeSample } from './sample.mjs';
import { setUp } from './setup.mjs';
import { isMain, main, ROOT, run, step, StepError } from './steps.mjs';
import { hostInfo, installHost, isInstalled, startVscodeServer, VERSIONS } from './vscodeServer.mjs';

const CLI = path.join(ROOT, 'dist', 'cli.js');
/** VS Code's data between two starts. */
const DATA = path.join(ROOT, '.vscode-hosts', 'start');
const RUNS = [
  { strategy: 'freeze', more: [] },
  { strategy: 'finetune', more: ['--epochs', '3'] },
];
const LIVE = ['waiting', 'starting', 'running'];
const SETTINGS = {
  'chat.disableAIFeatures': true,
  'extensions.autoCheckUpdates': false,
  'extensions.autoUpdate': false,
  'security.workspace.trust.enabled': false, // whoever starts this has just named the folder
  'telemetry.telemetryLevel': 'off',
  'update.mode': 'none',
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.startupEditor': 'none',
};
const calledFrom = process.env.INIT_CWD ?? process.cwd();

async function start() {
  const interrupt = new Interrupt();
  const wanted = process.argv[2];
  if (wanted !== undefined && !isFolder(path.resolve(calledFrom, wanted))) throw new StepError(`${path.resolve(calledFrom, wanted)} is not a folder`);
  await setUp();
  const dataset = wanted === undefined ? await sample() : fs.realpathSync(path.resolve(calledFrom, wanted));
  const workspace = workspaceFor(dataset);
  const runsFolder = path.join(workspace, '.thaw', 'runs');

  for (const { strategy, more } of RUNS) {
    await train({ dataset, workspace, runsFolder, strategy, more });
    if (interrupt.requested) return;
  }
  printTable(readRuns(runsFolder));

  const { watch } = await import('./build.mjs');
  const watching = await watch({ quiet: true });
  try {
    await openVscode(workspace, interrupt);
  } finally {
    await watching.stop();
    printLiveRuns(runsFolder);
  }
}

/** Ctrl-C, which also reaches the trainer or npm in the foreground: they end by themselves, and then this goes no further. */
class Interrupt {
  requested = false;

  constructor() {
    this.happened = new Promise((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
        process.on(signal, () => {
          this.requested = true;
          process.exitCode = 130;
          resolve();
        });
      }
    });
  }
}

async function sample() {
  await step('Sample dataset', () => path.relative(ROOT, makeSample()));
  return makeSample();
}

/** The folder that VS Code opens: the one the dataset lies in, unless that is a person's whole home. */
function workspaceFor(dataset) {
  const parent = path.dirname(dataset);
  return [os.homedir(), os.tmpdir(), path.parse(parent).root].includes(parent) ? dataset : parent;
}

/** Trains, unless an earlier start has done the same. */
async function train({ dataset, workspace, runsFolder, strategy, more }) {
  const epochs = more[0] === '--epochs' ? Number(more[1]) : undefined;
  const earlier = readRuns(runsFolder).find((listed) => listed.state === 'finished' && listed.strategy === strategy
    && (epochs === undefined || listed.epochs === epochs) && path.resolve(workspace, readRecord(listed.run).dataset.path) === dataset
    && Date.parse(listed.createdAt) > changedAt(dataset)); // of the same pictures: some may have been added, or the sample made anew
  if (earlier !== undefined) {
    console.log(`▸ Train with ${strategy}\n  done by an earlier start, ${printable(path.relative(ROOT, earlier.run))}`);
    return;
  }
  await step(`Train with ${strategy}`, async () => {
    await run(process.execPath, [CLI, 'train', dataset, '--strategy', strategy, '--runs', runsFolder, ...more], { accept: [0, 130] });
  });
}

/** When something was last added to or removed from the dataset, its splits or their classes, milliseconds since 1970. Thaw's own folder isn't one. */
export function changedAt(folder, levels = 2) {
  const within = levels === 0 ? [] : fs.readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !entry.name.startsWith('.') && isFolder(path.join(folder, entry.name)))
    .map((entry) => changedAt(path.join(folder, entry.name), levels - 1));
  return Math.max(fs.statSync(folder).mtimeMs, ...within);
}

function readRuns(runsFolder) {
  if (!fs.existsSync(runsFolder)) return [];
  const { stdout, status, stderr } = spawnSync(process.execPath, [CLI, 'runs', runsFolder, '--json'], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  if (status !== 0) throw new StepError(`thaw runs ${runsFolder} ended with ${status}\n${stderr}`);
  return JSON.parse(stdout);
}

function readRecord(directory) {
  return JSON.parse(fs.readFileSync(path.join(directory, 'run.json'), 'utf8'));
}

function printTable(runs) {
  const share = (value) => value.toFixed(3).replace(/^0/, '');
  const rows = runs.filter(({ accuracy }) => typeof accuracy === 'number').map((each) => [
    each.strategy, printable(each.dataset), share(each.accuracy), `[${each.interval.map(share).join('–')}]`, `${each.correct} of ${each.total}`,
    String(each.epochs), `${each.seconds.toFixed(1)} s`,
  ]);
  const table = [['strategy', 'dataset', 'accuracy', '95 % interval', 'right', 'epochs', 'time'], ...rows];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  console.log(`\n${table.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column])).join('  ').trimEnd()}`).join('\n')}\n`);
}

/** Without what a terminal would obey: names come from disk. */
function printable(text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '?');
}

function printLiveRuns(runsFolder) {
  for (const { run: directory } of readRuns(runsFolder).filter(({ state }) => LIVE.includes(state))) {
    console.log(`Still training: ${printable(directory)}\n  To stop it: thaw stop ${printable(directory)}\n  (thaw is node ${path.relative(calledFrom, CLI)})`);
  }
}

// -- VS Code

async function openVscode(workspace, interrupt) {
  if (desktopMayOpen({ platform: process.platform, uid: process.getuid?.(), environment: process.env })
    && await openDesktop({ workspace, extension: ROOT, ...prepareData(path.join(DATA, 'desktop')), interrupted: interrupt.happened })) return;
  const version = VERSIONS.find(isInstalled) ?? VERSIONS[0];
  if (!isInstalled(version)) await step(`VS Code ${version}`, () => installHost(version));
  const folders = prepareData(path.join(DATA, version));
  const extension = path.join(folders.extensionsFolder, linkName());
  fs.symlinkSync(ROOT, extension);
  const token = randomBytes(24).toString('hex');
  const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(?:npm_|NODE_OPTIONS$|VSCODE_)/i.test(name)));
  const server = await startVscodeServer({ host: hostInfo(version), ...folders, token, environment });
  console.log(`\n  VS Code: http://127.0.0.1:${server.port}/?tkn=${token}&folder=${encodeURIComponent(workspace)}\n`);
  console.log('  Open Thaw in the activity bar to see these runs, or right-click a folder of images in the Explorer. Ctrl-C ends VS Code here.');
  await Promise.race([interrupt.happened, server.exited]);
  await server.stop();
}

/** Folders of VS Code's own; the extensions are listed anew at each start, so that a new version is found. */
function prepareData(folder) {
  const dataFolder = path.join(folder, 'data');
  const extensionsFolder = path.join(folder, 'extensions');
  fs.rmSync(extensionsFolder, { recursive: true, force: true });
  fs.mkdirSync(extensionsFolder, { recursive: true });
  const settings = path.join(dataFolder, 'User', 'settings.json');
  if (!fs.existsSync(settings)) {
    fs.mkdirSync(path.dirname(settings), { recursive: true });
    fs.writeFileSync(settings, `${JSON.stringify(SETTINGS, undefined, 2)}\n`);
  }
  return { dataFolder, extensionsFolder };
}

function linkName() {
  const { publisher, name, version } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  return `${publisher}.${name}-${version}`;
}

function isFolder(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isDirectory() === true;
}

if (isMain(import.meta.url)) void main(start);
