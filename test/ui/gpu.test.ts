// What is said and asked of GPUs, in a real VS Code on a machine whose nvidia-smi names one. Nothing is fetched but from this machine.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statfsSync, symlinkSync } from 'node:fs';
import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { homedir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pinsFor } from '../../src/engine/pins.js';
import { findRuntime } from '../../src/engine/runtime.js';
import { ONE_GPU, pretendGpu, pretendNvidiaSmi } from '../harness/pretendGpu.js';
import { makePythonEnvironment, pretendPythonExtension } from '../harness/pythonEnvironment.js';
import { startServer, type Server } from '../harness/server.js';
import { openWorkbench, type Workbench } from '../harness/workbench.js';
import { CLI, copyDataset, eventually, makeRoom, newRun, panelOf, REPOSITORY, runEnded, stateShown, watched } from './scenario.js';

const OFFER = 'This machine has an NVIDIA GeForce RTX 4090, 24 GiB. Thaw trains on the CPU until its GPU is set up.';
const room = makeRoom('ui-gpu');
const workspace = path.join(room.folder, 'pictures');
const home = path.join(room.folder, 'home');
const inside = path.join(workspace, '.venv');
const outside = path.join(room.folder, 'somebody', 'venv');
let index: HttpServer;
let training: ChildProcess | undefined;
let server: Server;
let vscode: Workbench;

before(async () => {
  mkdirSync(workspace);
  makePythonEnvironment(inside);
  makePythonEnvironment(outside);
  const { directory = '' } = findRuntime({ environment: { ...process.env, THAW_DEVICE: 'cpu' } }) ?? {};
  const shared = path.dirname(path.dirname(directory));
  mkdirSync(path.join(home, 'runtimes'), { recursive: true });
  symlinkSync(directory, path.join(home, 'runtimes', path.basename(directory))); // the CPU build alone, whatever else is here
  symlinkSync(path.join(shared, 'weights'), path.join(home, 'weights'));
  index = await startSlowIndex();
  server = await startServer({
    extension: REPOSITORY,
    others: [pretendPythonExtension(path.join(room.folder, 'python-extension'), inside)],
    environment: {
      THAW_HOME: home, PATH: pretendNvidiaSmi(room.folder, ONE_GPU), VIRTUAL_ENV: outside,
      PIP_CONFIG_FILE: '/dev/null', PIP_INDEX_URL: `http://127.0.0.1:${(index.address() as AddressInfo).port}/simple`,
    },
  });
  vscode = await openWorkbench(server, workspace);
  await vscode.page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
});

after(async () => {
  const { foreignRequests } = vscode;
  await vscode.close();
  training?.kill('SIGKILL');
  await server.stop();
  index.closeAllConnections();
  index.close();
  room.remove();
  assert.deepEqual(foreignRequests, [], 'the workbench asked for something outside');
});

/** A package index on this machine that holds TensorFlow's CUDA build as long as it is, and gives it at 256 KiB/s. */
async function startSlowIndex(): Promise<HttpServer> {
  const [{ wheel }] = pinsFor('cuda').packages;
  const http = createServer((request, response) => {
    if (request.url === `/simple/${wheel.project}/`) {
      response.setHeader('Content-Type', 'text/html');
      response.end(`<a href="/${wheel.file}#sha256=${wheel.sha256}">${wheel.file}</a>`);
    } else if (request.url === `/${wheel.file}`) {
      response.setHeader('Content-Length', wheel.bytes);
      const ticking = setInterval(() => response.write(Buffer.alloc(64 * 1024)), 250);
      response.once('close', () => { clearInterval(ticking); });
    } else {
      response.writeHead(404).end();
    }
  });
  http.listen(0, '127.0.0.1');
  await new Promise((resolve) => { http.once('listening', resolve); });
  return http;
}

/** The files of Thaw's cache, without what lies behind links. */
function kept(): string[] {
  return readdirSync(home, { recursive: true, encoding: 'utf8' }).filter((name) => !/^(?:runtimes|weights)\//.test(name)).sort();
}

/** Check Set-up's page as the clipboard has it after Select All and Copy. */
async function copiedReport(): Promise<string> {
  await vscode.runCommand('Thaw: Check Set-up');
  const page = vscode.page.locator('.editor-instance .view-lines', { hasText: 'Nothing is missing.' });
  await page.waitFor({ timeout: 60_000 });
  await page.click();
  await vscode.page.keyboard.press('Control+A');
  await vscode.page.keyboard.press('Control+C');
  const text = await eventually(async () => {
    const copied = await vscode.page.evaluate(() => navigator.clipboard.readText());
    return copied.includes('Thaw set-up') ? copied : undefined;
  }, 'the report in the clipboard');
  await vscode.page.evaluate(() => navigator.clipboard.writeText(''));
  await vscode.runCommand('View: Close Editor');
  return text;
}

test('a GPU that is not used is offered once, and stands in the welcome view', () => watched(vscode, 'gpu-offer', async () => {
  await vscode.openViewContainer('Thaw');
  await vscode.answerNotification(OFFER, 'Not Now');
  const link = vscode.view('Datasets').getByText('Set Up GPU…');
  await link.waitFor();
  await vscode.reload();
  await vscode.openViewContainer('Thaw');
  await link.waitFor({ timeout: 60_000 }); // Thaw has looked again
  await copiedReport(); // and there was time to ask again
  assert.equal(await vscode.toast(OFFER).count(), 0);
  assert.deepEqual((await vscode.spoken()).filter((text) => text.includes('RTX 4090')), []);

  await link.click();
  await vscode.answerDialog('Set up training on the NVIDIA GeForce RTX 4090, 24 GiB?', 'Cancel');
}));

test('Set Up GPU says what it fetches, how large, where to and how much is free; Cancel does nothing', () => watched(vscode, 'gpu-question', async () => {
  const before = kept();
  await vscode.runCommand('Thaw: Set Up GPU…');
  const question = (await vscode.answerDialog('Set up training on the', 'Cancel')).replaceAll('\u00a0', ' ');
  // 3,370,039,940 bytes are fetched and 5,202,960,280 kept.
  assert.ok(question.includes(`Downloads 3.1 GiB (TensorFlow 2.21 for CUDA 12 and NVIDIA's libraries) and keeps 4.8 GiB in ${home}, where `), question);
  const { bavail, bsize } = statfsSync(home);
  const said = Number(/where ([\d.]+) GiB are free/.exec(question)?.[1]);
  assert.ok(Math.abs(said - bavail * bsize / 1024 ** 3) < 1, `${said} GiB`);
  assert.match(question, /Training on a GPU is untested on hardware/);
  assert.equal(await vscode.toast('Setting up the GPU').count(), 0);
  assert.deepEqual(kept(), before);
}));

test('the download shows its speed and the time left, and is cancelled', () => watched(vscode, 'gpu-download', async () => {
  await vscode.runCommand('Thaw: Set Up GPU…');
  await vscode.answerDialog('Set up training on the', 'Set Up');
  const toast = vscode.toast(/TensorFlow 2\.21\.0 for NVIDIA GPUs \(1 of 13: tensorflow\), [\d.]+ [KM]iB of 3\.1 GiB, \d+ KiB\/s, about [\d:]+ left/);
  await toast.waitFor({ timeout: 60_000 });
  await toast.locator('.monaco-button', { hasText: 'Cancel' }).click();
  await toast.waitFor({ state: 'hidden', timeout: 20_000 });
  await vscode.openViewContainer('Thaw');
  await vscode.view('Datasets').getByText('Set Up GPU…').waitFor(); // still to be set up
  const [{ wheel }] = pinsFor('cuda').packages;
  assert.ok(!existsSync(path.join(home, 'wheels', wheel.file)), 'a part passes for the whole');
  // The toast goes at once; the process behind it still puts away what had come.
  await eventually(() => Promise.resolve(existsSync(path.join(home, 'wheels', `${wheel.file}.part`)) ? true : undefined), 'what had come is kept');
  assert.match(await copiedReport(), /^Engine +ok +TensorFlow 2\.21\.0 \(cpu\), provided by Thaw/m);
}));

test('Check Set-up lists every part with its state, and names no private path', () => watched(vscode, 'gpu-report', async () => {
  const text = await copiedReport();
  for (const line of [
    /^Node +ok +\d+\.\d+\.\d+$/m, /^Platform +ok +linux-x64, /m, /^C library +ok +glibc \d/m, /^Python +ok +/m, /^Engine +ok +TensorFlow 2\.21\.0 \(cpu\)/m, /^Addon +ok +/m,
    /^Device +ok +CPU \(\d+ threads?\): /m, /^Driver +ok +NVIDIA 550\.54\.15$/m,
    /^GPU 0 +ok +NVIDIA GeForce RTX 4090, 24 GiB, compute capability 8\.9, 23\.4 GiB free; used by python3 \(pid 4711, 0\.5 GiB\)$/m,
    /^Also here +ok +TensorFlow 2\.21\.0 \(cpu\) in VIRTUAL_ENV/m, /^GPU training +warning +Training on a GPU is untested on hardware$/m,
    /^Weights +ok +/m, /^Cache +ok +/m, /^Disk +ok +.* free$/m, /^Workspace trust +ok +This workspace is trusted\.$/m,
  ]) assert.match(text, line);
  for (const place of [homedir(), room.folder, REPOSITORY, 'somebody']) assert.ok(!text.includes(place), `${place} in\n${text}`);
}));

test('the Python extension\'s choice is offered; one inside the workspace is used only after its whole path was shown', () => watched(vscode, 'gpu-python', async () => {
  const engine = async (): Promise<string> => /^Engine .*$/m.exec(await copiedReport())?.[0] ?? '';
  const choose = async (label: string): Promise<string> => {
    await vscode.runCommand('Thaw: Use Existing TensorFlow…');
    const rows = (await vscode.pickRows('Thaw\'s own')).join('\n');
    await vscode.pick(label);
    return rows;
  };
  const rows = await choose('selected in the Python extension');
  assert.ok(rows.includes(inside) && rows.includes(outside) && rows.includes('VIRTUAL_ENV'), rows);
  const question = await vscode.answerDialog('Use the TensorFlow of this folder?', 'Cancel');
  assert.ok(question.includes(inside), question);
  assert.match(await engine(), /provided by Thaw/);

  await choose('selected in the Python extension');
  await vscode.answerDialog('Use the TensorFlow of this folder?', 'Use It');
  await eventually(async () => (/your own/.test(await engine()) ? true : undefined), 'the workspace\'s TensorFlow to be used');
  await choose('Thaw\'s own');
  await eventually(async () => (/provided by Thaw/.test(await engine()) ? true : undefined), 'Thaw\'s own to be used');

  await choose('VIRTUAL_ENV'); // outside: the choice is enough
  await eventually(async () => (/your own/.test(await engine()) ? true : undefined), 'the environment\'s TensorFlow to be used');
  assert.equal(await vscode.dialog('Use the TensorFlow').count(), 0);

  // That setting would keep training off the GPU: it is said, and it stays when the set-up doesn't come to its end.
  await vscode.runCommand('Thaw: Set Up GPU…');
  const asked = (await vscode.answerDialog('Set up training on the', 'Set Up, Then Clear Setting')).replaceAll('\u00a0', ' ');
  assert.ok(asked.includes(`The setting thaw.runtimeFolder keeps training on the TensorFlow in ${outside}. It is cleared once the GPU is ready.`), asked);
  const toast = vscode.toast(/for NVIDIA GPUs/);
  await toast.waitFor({ timeout: 60_000 });
  await toast.locator('.monaco-button', { hasText: 'Cancel' }).click();
  await toast.waitFor({ state: 'hidden', timeout: 20_000 });
  assert.match(await engine(), /your own/);
}));

test('while a run trains on a GPU the panel shows its memory and how busy it is, and afterwards the peak', () => watched(vscode, 'gpu-panel', async () => {
  const dataset = path.join(room.folder, 'insects'); // not in the workspace, whose Datasets view is empty
  copyDataset(dataset, { train: 40, validation: 10 });
  const environment = { ...process.env, ...pretendGpu(room.folder, ONE_GPU) };
  training = spawn(server.host.node, [CLI, 'train', dataset, '--strategy', 'finetune', '--epochs', '100', '--runs', path.join(workspace, '.thaw', 'runs')], { env: environment, stdio: 'ignore' });
  const run = await newRun(workspace, 'finetune', []);
  await vscode.openViewContainer('Thaw');
  await vscode.treeRow('Runs', 'finetune').filter({ hasText: 'epoch' }).click({ timeout: 60_000 });
  const panel = panelOf(vscode);
  const tile = panel.locator('#screen-run .kpi', { hasText: 'GPU memory' });
  await tile.filter({ hasText: /6\.0\s*GiB/ }).filter({ hasText: 'of 24.0 GiB, 87% busy' }).waitFor({ timeout: 60_000 });
  await panel.locator('#screen-run', { hasText: 'NVIDIA GeForce RTX 4090, 24 GiB' }).waitFor();
  training.kill('SIGINT'); // as Ctrl-C in its terminal
  await runEnded(run, 'stopped');
  await stateShown(panel, 'Stopped');
  await tile.filter({ hasText: 'Peak GPU memory' }).filter({ hasText: 'of 24.0 GiB, on average 87% busy' }).waitFor();
}));
