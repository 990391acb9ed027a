// Restricted Mode, and a workspace that was made to do harm.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { RunRecord } from '../../src/protocol/run.js';
import { startServer } from '../harness/server.js';
import { openWorkbench } from '../harness/workbench.js';
import { copyDataset, endTrainers, makeRoom, newRun, panelOf, readRecord, REPOSITORY, runDirectories, runEnded, stateShown, thaw } from './scenario.js';

const INJECTION = '<img src=x onerror=document.title=1>';
const room = makeRoom('ui-untrusted');
const nice = path.join(room.folder, 'nice');
let finished: string;

before(async () => {
  copyDataset(path.join(nice, 'insects'), { train: 20, validation: 10 });
  await thaw(process.execPath, 'train', path.join(nice, 'insects'), '--strategy', 'freeze', '--runs', path.join(nice, '.thaw', 'runs'), '--json');
  const [directory] = runDirectories(nice);
  assert.ok(directory !== undefined);
  finished = directory;
});

after(async () => {
  await endTrainers(room.folder);
  room.remove();
});

test('an untrusted workspace trains nothing, says why, and shows its runs', async () => {
  const server = await startServer({
    extension: REPOSITORY,
    settings: { 'security.workspace.trust.enabled': true, 'security.workspace.trust.startupPrompt': 'never', 'security.workspace.trust.banner': 'never' },
  });
  try {
    const vscode = await openWorkbench(server, nice);
    try {
      await vscode.runCommand('Thaw: Train with Freeze');
      assert.match(await vscode.notification('Nothing trains in Restricted Mode'), /Manage Workspace Trust|Manage/);
      await vscode.chooseContextMenu(vscode.explorerRow('insects'), 'Thaw', 'Train with Finetune');
      await vscode.notification('Nothing trains in Restricted Mode');
      await vscode.openViewContainer('Thaw');
      await vscode.view('Datasets').getByText('Manage Workspace Trust').waitFor();
      await vscode.treeRow('Runs', 'freeze').click();
      await stateShown(panelOf(vscode), 'Finished', 30_000);
      assert.deepEqual(runDirectories(nice), [finished]);
    } finally {
      await vscode.close();
    }
  } finally {
    await server.stop();
  }
});

test('a hostile workspace harms nothing', async (t) => {
  const hostile = path.join(room.folder, 'hostile');
  const outside = path.join(room.folder, 'outside');
  const runs = path.join(hostile, '.thaw', 'runs');
  const victim = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  makeHostile({ hostile, outside, runs, victim });
  const server = await startServer({ extension: REPOSITORY });
  try {
    const vscode = await openWorkbench(server, hostile);
    const panel = panelOf(vscode);
    try {
      await t.test('runs that can\'t be read are shown with the reason, the others by their names alone', async () => {
        await vscode.openViewContainer('Thaw');
        await vscode.view('Runs').getByText('Unreadable').waitFor({ timeout: 60_000 });
        const labels = (await vscode.treeRows('Runs').allInnerTexts()).join('\n');
        for (const id of ['huge', 'malformed', 'wrong-id']) assert.ok(labels.includes(id), `${id} is missing:\n${labels}`);
        assert.match(labels, /secret.*link/);
        assert.ok(!labels.includes('read through a link'), labels);
      });

      await t.test('markup in names is text', async () => {
        await vscode.treeRow('Runs', 'freeze').filter({ hasText: '(' }).first().click();
        await stateShown(panel, 'Finished', 30_000);
        await panel.locator('#screen-run h1', { hasText: INJECTION }).waitFor();
        assert.equal(await panel.locator('img').count(), 0);
        assert.equal(await vscode.page.locator('img[src="x"]').count(), 0);
        assert.deepEqual(vscode.cspViolations(), []);
        assert.deepEqual(vscode.foreignRequests, []);
      });

      await t.test('Stop ends no process that the workspace names', async () => {
        await vscode.treeRow('Runs', 'finetune').click();
        await stateShown(panel, 'Interrupted', 30_000); // whatever the workspace says: no trainer of this machine answers for it
        await thaw(server.host.node, 'stop', path.join(runs, 'foreign-pid'));
        assert.equal(victim.exitCode, null);
        assert.equal(victim.signalCode, null);
      });

      await t.test('its images train, and what can\'t be read is named', async () => {
        const known = runDirectories(hostile);
        await vscode.page.keyboard.press('Control+Shift+E');
        await vscode.chooseContextMenu(vscode.explorerRow('insects'), 'Thaw', 'Train with Freeze');
        const directory = await newRun(hostile, 'freeze', known);
        const record = await runEnded(directory, 'finished');
        assert.ok(record.data !== undefined);
        assert.ok(record.data.classes.includes(INJECTION));
        assert.ok(record.data.leftOut.some(({ path: file }) => file.endsWith(`${INJECTION}.jpg`)), JSON.stringify(record.data.leftOut));
        await stateShown(panel, 'Finished');
        assert.equal(await panel.locator('img').count(), 0);
        assert.deepEqual(vscode.cspViolations(), []);
      });

      await t.test('what lies outside is as it was', () => {
        assert.deepEqual(readdirSync(outside).sort(), ['keep.txt', 'secret']);
        assert.ok(existsSync(path.join(outside, 'secret', 'run.json')));
        assert.ok(!existsSync(path.join(outside, 'secret', 'stop')));
        assert.equal(victim.exitCode, null);
      });
    } finally {
      await vscode.close();
    }
  } finally {
    await server.stop();
    victim.kill('SIGKILL');
  }
});

test('a .thaw that is a link is not written through', async () => {
  const linked = path.join(room.folder, 'linked');
  const elsewhere = path.join(room.folder, 'elsewhere');
  mkdirSync(path.join(elsewhere, 'runs'), { recursive: true });
  copyDataset(path.join(linked, 'insects'), { train: 4, validation: 2 });
  symlinkSync(elsewhere, path.join(linked, '.thaw'));
  const server = await startServer({ extension: REPOSITORY });
  try {
    const vscode = await openWorkbench(server, linked);
    try {
      await vscode.chooseContextMenu(vscode.explorerRow('insects'), 'Thaw', 'Train with Freeze');
      await vscode.notification(/\.thaw/);
      assert.deepEqual(readdirSync(path.join(elsewhere, 'runs')), []);
      assert.deepEqual(readdirSync(elsewhere), ['runs']);
    } finally {
      await vscode.close();
    }
  } finally {
    await server.stop();
  }
});

function makeHostile({ hostile, outside, runs, victim }: { hostile: string; outside: string; runs: string; victim: ChildProcess }): void {
  copyDataset(path.join(hostile, 'insects'), { train: 12, validation: 6 });
  const [first] = readdirSync(path.join(hostile, 'insects', 'train')).sort();
  assert.ok(first !== undefined);
  for (const split of ['train', 'val']) renameSync(path.join(hostile, 'insects', split, first), path.join(hostile, 'insects', split, INJECTION));
  writeFileSync(path.join(hostile, 'insects', 'train', INJECTION, `${INJECTION}.jpg`), 'no picture');

  mkdirSync(runs, { recursive: true });
  mkdirSync(outside);
  writeFileSync(path.join(outside, 'keep.txt'), 'mine');
  const place = (id: string, change: (record: RunRecord) => unknown = (record) => record, folder = runs): string => {
    const to = path.join(folder, id);
    cpSync(finished, to, { recursive: true });
    writeFileSync(path.join(to, 'run.json'), JSON.stringify(change({ ...readRecord(finished), id })));
    return to;
  };
  place('markup', (record) => ({ ...record, dataset: { name: INJECTION, path: 'insects' } }));
  // says that it runs, now, and whose process it is: the test's own victim
  const foreign = place('foreign-pid', ({ result: _result, endedAt: _endedAt, ...record }) => ({
    ...record, state: 'running', configuration: { ...record.configuration, strategy: 'finetune' },
  }));
  writeFileSync(path.join(foreign, 'heartbeat'), JSON.stringify({ pid: victim.pid, time: Date.now() }));
  const soon = new Date(Date.now() + 600_000);
  utimesSync(path.join(foreign, 'heartbeat'), soon, soon);
  writeFileSync(path.join(foreign, 'pid'), String(victim.pid));
  place('wrong-id', (record) => ({ ...record, id: 'another' }));
  writeFileSync(path.join(place('malformed'), 'run.json'), '{"schemaVersion": 1, "id": ');
  truncateSync(path.join(place('huge'), 'run.json'), 3_000_000_000);
  const long = place('long-lines', (record) => ({ ...record, dataset: { name: INJECTION, path: '../../../etc' } }));
  writeFileSync(path.join(long, 'events.ndjson'), 'x'.repeat(3_000_000));
  place('secret', (record) => ({ ...record, dataset: { name: 'read through a link', path: 'insects' } }), outside);
  symlinkSync(path.join(outside, 'secret'), path.join(runs, 'secret'));
}
