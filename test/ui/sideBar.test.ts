// The side bar and what it leads to: both strategies at once, the line for the device, stop, delete, the set-up's report, the cache.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startServer, type Server } from '../harness/server.js';
import { openWorkbench, type Workbench } from '../harness/workbench.js';
import { CLI, copyDataset, endTrainers, eventually, makeRoom, newRun, panelOf, readEpochs, readRecord, REPOSITORY, runDirectories, runEnded, stateShown, watched } from './scenario.js';

const room = makeRoom('ui-side-bar');
const workspace = path.join(room.folder, 'pictures');
const dataset = path.join(workspace, 'insects');
let classes: string[];
let training: ChildProcess | undefined;
let server: Server;
let vscode: Workbench;

before(async () => {
  classes = copyDataset(dataset, { train: 80, validation: 12 }); // so many that finetune lasts until it is stopped
  server = await startServer({ extension: REPOSITORY });
  vscode = await openWorkbench(server, workspace);
});

after(async () => {
  await vscode.close();
  training?.kill('SIGKILL');
  await endTrainers(workspace);
  await server.stop();
  room.remove();
});

/** Trains by freeze from the Datasets view, until it has finished; the panel then shows the run. */
async function trainFreeze(): Promise<string> {
  const known = runDirectories(workspace);
  await vscode.openViewContainer('Thaw');
  await vscode.chooseContextMenu(vscode.treeRow('Datasets', 'insects'), 'Train with Freeze');
  const run = await newRun(workspace, 'freeze', known);
  await runEnded(run, 'finished', 180_000);
  await stateShown(panelOf(vscode), 'Finished');
  return run;
}

test('the Datasets view shows the folder, its images and its classes, and trains on it', () => watched(vscode, 'datasets', async () => {
  await vscode.openViewContainer('Thaw');
  const row = vscode.treeRow('Datasets', 'insects');
  const count = (split: string, name: string): number => readdirSync(path.join(dataset, split, name)).length;
  const images = classes.reduce((sum, name) => sum + count('train', name) + count('val', name), 0);
  await row.filter({ hasText: `${images} images` }).waitFor({ timeout: 60_000 });
  await row.click();
  for (const name of classes) await vscode.treeRow('Datasets', name).filter({ hasText: `${count('train', name)} / ${count('val', name)}` }).waitFor();
  await trainFreeze();
  await vscode.notification('freeze on insects');
}));

test('Compare Freeze and Finetune runs one after the other and compares just these two', () => watched(vscode, 'compare-both', async () => {
  await trainFreeze(); // What the panel shows of it must not stay in the comparison.
  const known = runDirectories(workspace);
  await vscode.openViewContainer('Explorer');
  await vscode.chooseContextMenu(vscode.explorerRow('insects'), 'Thaw', 'Compare Freeze and Finetune');
  const freeze = await newRun(workspace, 'freeze', known);
  const finetune = await newRun(workspace, 'finetune', known);
  const rows = panelOf(vscode).locator('#screen-compare tr[data-run]');
  const expected = [freeze, finetune].map((directory) => path.basename(directory)).sort();
  const shown = async (): Promise<string[]> => (await rows.evaluateAll((elements) => elements.map((element) => (element as HTMLElement).dataset['run'] ?? ''))).sort();
  await eventually(async () => (JSON.stringify(await shown()) === JSON.stringify(expected) ? true : undefined), `both runs in the comparison: ${expected.join(', ')}`);

  await runEnded(freeze, 'finished', 180_000);
  await eventually(() => readRecord(finetune).startedAt, 'finetune to start after freeze', 60_000);
  await vscode.openViewContainer('Thaw');
  // The inline button of the live row.
  const live = vscode.treeRow('Runs', 'finetune');
  await eventually(async () => { // a press is lost where the row is redrawn before it is let go
    await live.hover();
    await live.locator('a[aria-label*="Stop Training"]').click({ timeout: 2000 }).catch(() => undefined);
    return existsSync(path.join(finetune, 'stop')) || readRecord(finetune).state === 'stopped' ? true : undefined;
  }, 'Stop to be heard');
  await runEnded(finetune, 'stopped', 30_000);
  await vscode.notification('finetune on insects stopped');
  await vscode.statusBarItem('Thaw: ').waitFor({ state: 'hidden' });
  assert.deepEqual(await shown(), expected, 'the comparison is still of both');
}));

test('Delete Run asks, and deletes that run alone', () => watched(vscode, 'delete', async () => {
  while (runDirectories(workspace).length < 2) await trainFreeze();
  await vscode.openViewContainer('Thaw');
  const [oldest, ...others] = runDirectories(workspace);
  assert.ok(oldest !== undefined);
  const row = vscode.treeRows('Runs').filter({ hasText: 'freeze' }).last();
  await vscode.chooseContextMenu(row, 'Delete Run');
  const question = await vscode.answerDialog('Delete freeze on insects', 'Delete');
  assert.ok(question.includes(path.basename(oldest)), question);
  // A VS Code server has no trash: it is asked again.
  await vscode.answerDialog('can\'t be moved to the trash', 'Delete Permanently');
  await eventually(() => (existsSync(oldest) ? undefined : true), 'the run to be gone');
  assert.deepEqual(runDirectories(workspace), others);
  await eventually(async () => (await vscode.treeRows('Runs').count() === others.length + 1 ? true : undefined), 'its row to be gone');
}));

test('Clear Cache asks, and says what it freed', () => watched(vscode, 'clear-cache', async () => {
  if (runDirectories(workspace).length === 0) await trainFreeze(); // It leaves the resized images and their features there.
  await vscode.runCommand('Thaw: Clear Cache');
  await vscode.answerDialog('Clear Thaw\'s cache', 'Clear Cache');
  assert.match(await vscode.notification('The cache is empty'), /\d+(?:\.\d)? (?:B|KiB|MiB|GiB) freed/);
}));

test('Check Set-up opens a page that can be copied', () => watched(vscode, 'check', async () => {
  await vscode.runCommand('Thaw: Check Set-up');
  await vscode.page.locator('.editor-instance .view-lines', { hasText: 'Nothing is missing.' }).waitFor({ timeout: 60_000 });
}));

test('a run is opened by a click that its next epoch overtakes, on its row and on the status bar', () => watched(vscode, 'overtaken', async () => {
  const few = path.join(room.folder, 'few'); // not in the workspace, whose Datasets view shows one
  copyDataset(few, { train: 4, validation: 2 });
  const known = runDirectories(workspace);
  training = spawn(server.host.node, [CLI, 'train', few, '--strategy', 'finetune', '--epochs', '1000', '--runs', path.join(workspace, '.thaw', 'runs')], { stdio: 'ignore' });
  const run = await newRun(workspace, 'finetune', known);
  await vscode.openViewContainer('Thaw');
  for (const target of [vscode.treeRow('Runs', 'epoch'), vscode.statusBarItem('Thaw: ')]) {
    await target.filter({ hasText: /epoch (?:[2-9]|\d\d)/ }).waitFor({ timeout: 60_000 }); // the first takes longer
    await vscode.runCommand('View: Close All Editors');
    const box = await target.boundingBox();
    assert.ok(box);
    const epochs = (): number => readEpochs(run).length;
    await eventually(async () => {
      const before = epochs();
      // The window is held up: the click waits for it with what has been drawn anew since.
      const heldUp = vscode.page.evaluate((milliseconds) => { for (const end = performance.now() + milliseconds; performance.now() < end;); }, 4000);
      await delay(3000);
      const overtaken = epochs() > before;
      if (overtaken) await vscode.page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
      await heldUp;
      return overtaken ? true : undefined;
    }, 'an epoch to end while the window is held up', 120_000);
    await panelOf(vscode).locator('#screen-run h1', { hasText: 'few' }).waitFor();
  }
  const ended = once(training, 'exit');
  training.kill('SIGINT');
  await ended;
  await runEnded(run, 'stopped');
  rmSync(run, { recursive: true }); // the other tests count runs
}));
