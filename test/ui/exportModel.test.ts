// Export Model… in a real VS Code: from a run's row and from the palette, to folders whose files are those of the terminal.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { readOnnx } from '../../src/network/exports/onnxFile.js';
import { startServer, type Server } from '../harness/server.js';
import { openWorkbench, type Workbench } from '../harness/workbench.js';
import { copyDataset, endWorkbench, makeRoom, REPOSITORY, runDirectories, thaw, watched } from './scenario.js';

const room = makeRoom('export');
const workspace = path.join(room.folder, 'pictures');
const dataset = path.join(workspace, 'insects');
const target = path.join(room.folder, 'exports');
let server: Server;
let vscode: Workbench;
let run: string;

before(async () => {
  copyDataset(dataset, { train: 20, validation: 10 });
  mkdirSync(path.join(target, 'earlier'), { recursive: true }); // the dialog lists folders
  server = await startServer({ extension: REPOSITORY });
  await thaw(server.host.node, 'train', dataset, '--strategy', 'freeze', '--epochs', '2', '--runs', path.join(workspace, '.thaw', 'runs'), '--json');
  [run = ''] = runDirectories(workspace);
  vscode = await openWorkbench(server, workspace);
});

after(() => endWorkbench({ vscode, server, workspace, room }));

test('a run\'s row exports it, twice beside each other, and says how exact the export is', () => watched(vscode, 'export', async () => {
  const name = `insects-${path.basename(run)}-safetensors`;
  for (const expected of [name, `${name}-2`]) {
    await vscode.openViewContainer('Thaw');
    await vscode.chooseContextMenu(vscode.treeRow('Runs', 'freeze'), 'Export Model…');
    await vscode.pick('safetensors');
    await vscode.chooseFolder(target, 'Export Here', 'earlier');
    const said = await vscode.notification(/Exported to .*safetensors/, { timeout: 60_000 });
    assert.match(said, new RegExp(`Exported to ${path.join(target, expected)}, 13\\.\\d MiB\\. Read back, its probabilities differ from the trained model's by 0 at most\\.`));
    assert.deepEqual(readdirSync(path.join(target, expected)).sort(), ['MODEL_CARD.md', 'labels.json', 'model.safetensors', 'preprocessing.json']);
  }
  const terminal = path.join(room.folder, 'terminal');
  await thaw(server.host.node, 'export', run, '--format', 'safetensors', '--out', terminal);
  for (const file of readdirSync(terminal)) assert.ok(readFileSync(path.join(target, name, file)).equals(readFileSync(path.join(terminal, file))), file);
}));

test('the palette exports with pixels as the input, and opens the model card', () => watched(vscode, 'export-palette', async () => {
  await vscode.runCommand('Thaw: Export Model…');
  await vscode.pick('freeze');
  await vscode.pick('ONNX with uint8 input');
  await vscode.chooseFolder(target, 'Export Here', 'earlier');
  await vscode.answerNotification(/Exported to .*onnx/, 'Open Model Card', { timeout: 60_000 });
  await vscode.page.locator('.editor-instance .view-line', { hasText: 'efficientnet_lite0 on insects' }).first().waitFor({ timeout: 20_000 });
  const { graph } = readOnnx(readFileSync(path.join(target, `insects-${path.basename(run)}-onnx`, 'model.onnx')));
  assert.deepEqual(graph.inputs, [{ name: 'pixels', type: 'uint8', shape: ['batch', 224, 224, 3] }]);
}));
