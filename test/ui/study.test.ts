// Run Study… in a real VS Code: from the explorer's menu to a table that fills; stopped, reloaded, resumed.
import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { StudyRecord } from '../../src/protocol/study.js';
import { formatAccuracy } from '../../src/metrics/format.js';
import { startServer, type Server } from '../harness/server.js';
import { openWorkbench, type Workbench } from '../harness/workbench.js';
import { copyDataset, endWorkbench, EXTENSION_ID, makeRoom, readRecord, REPOSITORY, runDirectories, watched } from './scenario.js';

const room = makeRoom('study');
const workspace = path.join(room.folder, 'pictures');
const dataset = path.join(workspace, 'insects');
let server: Server;
let vscode: Workbench;

before(async () => {
  copyDataset(dataset, { train: 110, validation: 60 }); // so many that the gray ones' features are not there before Stop is
  server = await startServer({ extension: REPOSITORY });
  vscode = await openWorkbench(server, workspace);
});

after(() => endWorkbench({ vscode, server, workspace, room }));

test('the menu of a folder runs a study; it stops, survives a reload, resumes, and shows what the runs say', () => watched(vscode, 'study', async () => {
  await vscode.chooseContextMenu(vscode.explorerRow('insects'), 'Thaw', 'Run Study…');
  await vscode.pick('finetune'); // ticked at first: freeze alone is enough here
  await vscode.page.keyboard.press('Enter');
  await vscode.pick('3 seeds');
  const screen = vscode.webview(EXTENSION_ID).locator('#screen-study');
  await screen.locator('.state', { hasText: /[1-9] of 6 runs done/ }).waitFor({ timeout: 120_000 });
  await screen.locator('[data-action=stopStudy]').click();
  await screen.locator('.state', { hasText: /^Stopped, \d of 6 runs done/ }).waitFor({ timeout: 60_000 });

  await vscode.reload();
  const again = vscode.webview(EXTENSION_ID).locator('#screen-study');
  await again.locator('.state', { hasText: /^Stopped/ }).waitFor({ timeout: 60_000 });
  await again.locator('[data-action=resumeStudy]').click();
  await again.locator('.state', { hasText: 'Finished, 6 of 6 runs done' }).waitFor({ timeout: 180_000 });

  const studies = path.join(workspace, '.thaw', 'studies');
  const [id] = readdirSync(studies);
  const record = JSON.parse(readFileSync(path.join(studies, id ?? '', 'study.json'), 'utf8')) as StudyRecord;
  assert.equal(record.state, 'finished');
  assert.deepEqual(record.plan.datasets.map(({ path: stored, runs }) => [stored, runs]), [['insects', '.thaw/runs']]);
  const cells = again.locator('.study-table tbody td');
  for (const [index, colour] of (['rgb', 'gray'] as const).entries()) {
    const results = record.runs.filter((run) => run.colour === colour).map((run) => readRecord(path.join(workspace, '.thaw', 'runs', run.run ?? '')).result?.accuracy ?? NaN);
    assert.equal(results.length, 3);
    const shown = await cells.nth(index).innerText();
    assert.ok(shown.startsWith(formatAccuracy(results.reduce((sum, value) => sum + value, 0) / 3)) && shown.includes('bootstrap, 3 seeds'), shown);
  }
  assert.ok(runDirectories(workspace).length >= 6);
  await again.locator('.study-sample').first().waitFor({ timeout: 30_000 });
  await vscode.notification(/The study has finished: 6 of 6 runs\./);

  // Another study, opened while the panel lies behind a file, is the one that it shows when it comes back.
  const other = `${(id ?? '').slice(0, -6)}ffffff`;
  cpSync(path.join(studies, id ?? ''), path.join(studies, other), { recursive: true });
  writeFileSync(path.join(studies, other, 'study.json'), JSON.stringify({ ...record, id: other, state: 'stopped', runs: record.runs.map((run, index) => (index === 5 ? { ...run, state: 'planned' } : run)) }));
  await vscode.runCommand('File: New Untitled Text File');
  await again.waitFor({ state: 'hidden' });
  await vscode.runCommand('Thaw: Open Study…');
  await vscode.pick('5 of 6 runs done');
  await again.locator('.state', { hasText: 'Stopped, 5 of 6 runs done' }).waitFor({ timeout: 30_000 });

  await cells.first().locator('[data-action=openStudyRun]').click();
  await vscode.webview(EXTENSION_ID).locator('#screen-run h1', { hasText: 'insects' }).waitFor({ timeout: 20_000 });
}));
