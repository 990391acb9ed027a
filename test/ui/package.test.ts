// The package as a person gets it: installed from the file, outside the checkout, with nothing set up.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { startServer } from '../harness/server.js';
import { openWorkbench } from '../harness/workbench.js';
import { copyDataset, endTrainers, makeRoom, newRun, panelOf, runDirectories, runEnded, stateShown } from './scenario.js';

const room = makeRoom('ui-package');

after(async () => {
  await endTrainers(room.folder);
  room.remove();
});

test('a person who installed only the package right-clicks a folder, is asked once, and it trains', async () => {
  execFileSync(process.execPath, ['scripts/package.mjs', '--built', '--out', room.folder], { stdio: 'pipe' });
  const vsix = readdirSync(room.folder).find((name) => /^thaw-linux-x64-.*\.vsix$/.test(name));
  assert.ok(vsix !== undefined);
  const home = path.join(room.folder, 'home');
  mkdirSync(home);
  const workspace = path.join(room.folder, 'workspace');
  copyDataset(path.join(workspace, 'insects'));

  const server = await startServer({ extension: path.join(room.folder, vsix), environment: { THAW_HOME: home } });
  try {
    const vscode = await openWorkbench(server, workspace);
    try {
      await vscode.chooseContextMenu(vscode.explorerRow('insects'), 'Thaw', 'Train with Freeze');
      const question = await vscode.answerDialog('Thaw needs TensorFlow and ImageNet weights', 'Set Up', { timeout: 60_000 });
      assert.ok(question.includes('Downloads TensorFlow 2.21, 274 MB, and ImageNet weights, 19 MB, to '), question);
      assert.ok(question.includes(home), question);
      const progress = vscode.toast('Setting up Thaw');
      await progress.waitFor({ timeout: 30_000 });
      await progress.locator('.monaco-button', { hasText: 'Cancel' }).waitFor();
      const directory = await newRun(workspace, 'freeze', [], 400_000);
      const { result, environment } = await runEnded(directory, 'finished', 180_000);
      assert.ok(result !== undefined && result.accuracy > 0.8, `accuracy ${result?.accuracy ?? 'missing'}`);
      assert.match(environment?.tensorflow ?? '', /^2\.21/);
      await stateShown(panelOf(vscode), 'Finished');

      // Not asked again.
      const known = runDirectories(workspace);
      await vscode.chooseContextMenu(vscode.explorerRow('insects'), 'Thaw', 'Train with Freeze');
      await runEnded(await newRun(workspace, 'freeze', known), 'finished');
    } finally {
      await vscode.close();
    }
  } finally {
    await server.stop();
  }
});
