// Right-click on an image: what the best run says of it, in a real VS Code.
import assert from 'node:assert/strict';
import { copyFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { startServer, type Server } from '../harness/server.js';
import { openWorkbench, type Workbench } from '../harness/workbench.js';
import { accuracyText, copyDataset, endWorkbench, makeRoom, panelOf, readRecord, REPOSITORY, runDirectories, shoot, thaw, watched } from './scenario.js';

const room = makeRoom('classify');
const workspace = path.join(room.folder, 'pictures');
const dataset = path.join(workspace, 'insects');
const unknown = path.join(workspace, 'unknown.jpg'); // the bytes say what it is, whatever the name
let server: Server;
let vscode: Workbench;

before(async () => {
  const [name = ''] = copyDataset(dataset, { train: 40, validation: 20 });
  const folder = path.join(dataset, 'val', name);
  copyFileSync(path.join(folder, readdirSync(folder).sort()[0] ?? ''), unknown);
  server = await startServer({ extension: REPOSITORY, settings: { 'workbench.colorTheme': 'Default Dark Modern' } });
  for (const seed of ['0', '1']) await thaw(server.host.node, 'train', dataset, '--strategy', 'freeze', '--seed', seed, '--epochs', '3', '--runs', path.join(workspace, '.thaw', 'runs'), '--json');
  vscode = await openWorkbench(server, workspace);
});

after(() => endWorkbench({ vscode, server, workspace, room }));

test('right-click on an image offers the runs, the best first, and the panel says what the terminal says', () => watched(vscode, 'classify', async () => {
  const [best] = runDirectories(workspace).map((directory) => ({ directory, record: readRecord(directory) }))
    .sort((a, b) => (b.record.result?.accuracy ?? 0) - (a.record.result?.accuracy ?? 0) || b.record.createdAt.localeCompare(a.record.createdAt));
  assert.ok(best?.record.result !== undefined);
  await vscode.openViewContainer('Explorer');
  await vscode.chooseContextMenu(vscode.explorerRow('unknown.jpg'), 'Thaw', 'Classify Image');
  const first = vscode.page.locator('.quick-input-widget .monaco-list-row').first();
  await first.filter({ hasText: `${accuracyText(best.record.result.accuracy)} (` }).waitFor({ timeout: 60_000 });
  await first.filter({ hasText: 'best' }).waitFor();
  await vscode.page.keyboard.press('Enter');

  const card = panelOf(vscode).locator('.classified-image');
  await card.first().waitFor({ timeout: 60_000 });
  const [line = ''] = (await thaw(server.host.node, 'predict', best.directory, unknown, '--json')).split('\n');
  const { top } = JSON.parse(line) as { top: { label: string; probability: number }[] };
  assert.equal(await card.count(), 1);
  const shown = await card.first().innerText();
  for (const { label, probability } of top) assert.ok(shown.includes(label) && shown.includes(accuracyText(probability)), `${label} ${String(probability)} in ${shown}`);
  assert.ok(shown.includes('unknown.jpg'));
  assert.ok(await card.first().locator('img').evaluate((image) => (image as HTMLImageElement).naturalWidth > 0));
  await shoot(vscode, 'classify');
  assert.deepEqual(vscode.cspViolations(), []);
}));
