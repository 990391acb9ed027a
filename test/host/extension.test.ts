// Thaw inside a real extension host: what it registers, what it refuses, and a run from a command to its result.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import * as vscode from 'vscode';
import { COMMANDS } from '../../src/extension/commandTable.js';
import { SETTINGS } from '../../src/extension/settings.js';
import { graphFor } from '../../src/network/architectures.js';
import { parameterSpecs } from '../../src/network/graph.js';
import { findOwnWeights, listOwnWeights } from '../../src/network/weights/cache.js';
import { writeSafetensors } from '../../src/network/weights/safetensors.js';
import type { StateDict } from '../../src/network/weights/stateDict.js';
import { adviceSchema, type Advice } from '../../src/protocol/advice.js';
import type { RunRecord } from '../../src/protocol/run.js';

const EXTENSION_ID = 'thaw.thaw';

function workspace(): string {
  const [folder] = vscode.workspace.workspaceFolders ?? [];
  assert.ok(folder !== undefined);
  return folder.uri.fsPath;
}

const pictures = (): vscode.Uri => vscode.Uri.file(path.join(workspace(), 'pictures'));
const runsFolder = (): string => path.join(workspace(), '.thaw', 'runs');
const runs = (): string[] => (existsSync(runsFolder()) ? readdirSync(runsFolder()).filter((name) => !name.startsWith('.')) : []);
const readRecord = (directory: string): RunRecord => JSON.parse(readFileSync(path.join(directory, 'run.json'), 'utf8')) as RunRecord;
const tabLabels = (): string[] => vscode.window.tabGroups.all.flatMap(({ tabs }) => tabs).map(({ label }) => label);

async function eventually<T>(look: () => T | undefined, what: string, timeout: number): Promise<T> {
  const deadline = Date.now() + timeout;
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`waited ${timeout / 1000} s for ${what}`);
    await delay(50);
  }
}

async function ended(directory: string): Promise<RunRecord> {
  return eventually(() => {
    const record = readRecord(directory);
    return ['finished', 'stopped', 'failed'].includes(record.state) ? record : undefined;
  }, `${path.basename(directory)} to end`, 180_000);
}

/** The trainers on runs of this workspace. */
function trainers(): string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).filter((pid) => {
    try {
      const parts = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return parts[parts.indexOf('--run') + 1]?.startsWith(runsFolder() + path.sep) === true && parts.includes('--run');
    } catch {
      return false; // it has ended meanwhile
    }
  });
}

before(async () => {
  const extension = vscode.extensions.getExtension(EXTENSION_ID);
  assert.ok(extension !== undefined, 'the extension is not there');
  await extension.activate();
});

after(async () => {
  for (const pid of trainers()) process.kill(Number(pid), 'SIGTERM');
  await eventually(() => (trainers().length === 0 ? true : undefined), 'the trainers to end', 15_000);
});

describe('what Thaw registers', () => {
  it('registers each declared command, and no other', async () => {
    const registered = (await vscode.commands.getCommands(true)).filter((id) => /^thaw\.[A-Za-z]+$/.test(id)); // `thaw.runs.focus` is VS Code's
    assert.deepEqual(registered.sort(), Object.keys(COMMANDS).sort());
    const { contributes } = vscode.extensions.getExtension(EXTENSION_ID)?.packageJSON as { contributes: { commands: { command: string; title: string; category: string }[] } };
    const declared = contributes.commands.map(({ command, title, category }) => [command, `${category}: ${title}`]);
    assert.deepEqual(declared, Object.entries(COMMANDS).map(([id, { title }]) => [id, `Thaw: ${title}`]), 'titles as VS Code translated them');
  });

  it('has its views', async () => {
    const ids = await vscode.commands.getCommands(true);
    for (const id of ['thaw.datasets.focus', 'thaw.runs.focus', 'workbench.view.extension.thaw']) assert.ok(ids.includes(id), id);
  });
});

describe('settings', () => {
  const settingsFile = (): string => path.join(workspace(), '.vscode', 'settings.json');
  after(() => rmSync(path.dirname(settingsFile()), { recursive: true, force: true }));

  it('can\'t be written to a workspace', async () => {
    const configuration = vscode.workspace.getConfiguration('thaw');
    for (const setting of Object.keys(SETTINGS)) {
      await assert.rejects(async () => configuration.update(setting, setting === 'device' ? 'gpu' : 1, vscode.ConfigurationTarget.Workspace), setting);
    }
  });

  it('are not taken from a settings.json that a workspace brings', async () => {
    mkdirSync(path.dirname(settingsFile()), { recursive: true });
    const changed = new Promise<void>((resolve) => {
      const listening = vscode.workspace.onDidChangeConfiguration((event) => {
        if (!event.affectsConfiguration('editor.tabSize')) return;
        listening.dispose();
        resolve();
      });
    });
    const write = (): void => {
      writeFileSync(settingsFile(), JSON.stringify({
        'editor.tabSize': 7, 'thaw.device': 'gpu', 'thaw.runtimeFolder': '/evil', 'thaw.cacheSizeGiB': 9999, 'thaw.threads': 999,
      }));
    };
    write();
    const again = setInterval(write, 2000); // VS Code may not watch the folder yet
    await changed; // now the file counts, as its other setting shows
    clearInterval(again);
    assert.equal(vscode.workspace.getConfiguration('editor').get('tabSize'), 7);
    const configuration = vscode.workspace.getConfiguration('thaw');
    for (const setting of Object.keys(SETTINGS)) {
      const found = configuration.inspect<unknown>(setting);
      assert.ok(found !== undefined, setting);
      assert.equal(found.globalValue, undefined, setting);
      assert.deepEqual(configuration.get<unknown>(setting), found.defaultValue, setting);
    }
  });
});

describe('commands look at what they are given', () => {
  it('a path that is no run of an open folder opens and stops nothing', async () => {
    const before = tabLabels();
    for (const command of ['thaw.openRun', 'thaw.stopTraining', 'thaw.showLog', 'thaw.revealRun']) {
      for (const argument of ['/etc', `${runsFolder()}/../../../etc`, path.join(workspace(), 'pictures')]) await vscode.commands.executeCommand(command, argument);
    }
    assert.deepEqual(tabLabels(), before);
    assert.ok(!existsSync(path.join(workspace(), 'pictures', 'stop')));
  });

  it('a folder outside the workspace is not trained on, and nothing is written there', async () => {
    const outside = mkdtempSync(path.join(os.tmpdir(), 'thaw-outside-'));
    try {
      assert.equal(await vscode.commands.executeCommand('thaw.trainWithFreeze', vscode.Uri.file(outside)), undefined);
      assert.deepEqual(readdirSync(outside), []);
      assert.deepEqual(runs(), []);
    } finally {
      rmSync(outside, { recursive: true });
    }
  });
});

describe('training', () => {
  it('Train with Freeze trains on real images in a process of its own, and the panel shows it', async function () {
    this.timeout(240_000);
    const directory = await vscode.commands.executeCommand<string>('thaw.trainWithFreeze', pictures());
    assert.equal(path.dirname(directory), runsFolder());
    assert.equal(readFileSync(path.join(workspace(), '.thaw', '.gitignore'), 'utf8'), '*\n');
    const { dataset, configuration } = readRecord(directory);
    assert.deepEqual(dataset, { name: 'pictures', path: 'pictures' });
    assert.equal(configuration.strategy, 'freeze');
    const record = await ended(directory);
    assert.equal(record.state, 'finished', JSON.stringify(record.failure));
    assert.ok(record.result !== undefined && record.result.accuracy > 0.5, JSON.stringify(record.result));
    await eventually(() => tabLabels().find((label) => label === 'freeze on pictures'), 'the panel\'s title', 10_000);
  });

  it('Show Recipe opens what a run used as a file to change, checked by the schema, which the workspace then offers', async function () {
    this.timeout(240_000);
    const directory = await vscode.commands.executeCommand<string>('thaw.trainWithFreeze', pictures());
    const { recipe } = (await ended(directory)).configuration;
    await vscode.commands.executeCommand('thaw.showRecipe', directory);
    const document = vscode.window.activeTextEditor?.document;
    assert.ok(document?.isUntitled === true);
    assert.equal(path.basename(document.uri.path), 'freeze.recipe.json');
    assert.deepEqual(JSON.parse(document.getText()), recipe);

    const file = vscode.Uri.file(path.join(workspace(), 'mine.recipe.json'));
    await vscode.workspace.fs.writeFile(file, Buffer.from(JSON.stringify({ ...recipe, name: 'mine', epochs: 'many' })));
    const saved = await vscode.workspace.openTextDocument(file);
    await vscode.window.showTextDocument(saved);
    const wrong = await eventually(() => vscode.languages.getDiagnostics(file)[0], 'the editor to find the wrong field', 30_000);
    assert.match(wrong.message, /number|integer/);
    const { strategiesFor, recipeFor } = await import('../../src/extension/chooseRecipe.js');
    await assert.rejects(strategiesFor({ file: file.fsPath }), /mine\.recipe\.json: epochs/);
    await vscode.workspace.fs.writeFile(file, Buffer.from(JSON.stringify({ ...recipe, name: 'mine' })));
    assert.deepEqual(await strategiesFor({ file: file.fsPath }), ['freeze']);
    await assert.rejects(recipeFor({ file: file.fsPath }, 'finetune', 'efficientnet_lite0'), /trains the last layer alone/);
    await vscode.commands.executeCommand('workbench.action.closeAllEditors');
    await vscode.workspace.fs.delete(file);
  });

  it('Stop Training stops a run, which keeps its folder', async function () {
    this.timeout(240_000);
    const directory = await vscode.commands.executeCommand<string>('thaw.trainWithFinetune', pictures());
    await eventually(() => (existsSync(path.join(directory, 'events.ndjson')) ? true : undefined), 'the trainer\'s first event', 60_000);
    await eventually(() => tabLabels().find((label) => label === 'finetune on pictures'), 'the panel\'s title', 10_000);
    await vscode.commands.executeCommand('thaw.stopTraining', directory);
    assert.equal(readRecord(directory).state, 'stopped');
    await eventually(() => (trainers().length === 0 ? true : undefined), 'the trainer to end', 15_000);
  });

  it('Compare Freeze and Finetune starts both, one after the other', async function () {
    this.timeout(240_000);
    const both = await vscode.commands.executeCommand<string[]>('thaw.compareFreezeAndFinetune', pictures());
    assert.deepEqual(both.map((directory) => readRecord(directory).configuration.strategy), ['freeze', 'finetune']);
    const [first, second] = both;
    assert.ok(first !== undefined && second !== undefined);
    await eventually(() => readRecord(second).startedAt, 'the second to start', 180_000);
    const { state, startedAt = '', endedAt = '' } = readRecord(first);
    assert.equal(state, 'finished');
    const started = readRecord(second).startedAt ?? '';
    assert.ok(startedAt !== '' && startedAt < endedAt && Date.parse(started) > Date.parse(endedAt) - 1000, JSON.stringify({ startedAt, endedAt, started }));
    await vscode.commands.executeCommand('thaw.stopTraining', second);
    assert.equal(readRecord(second).state, 'stopped');
  });
});

describe('advice', () => {
  it('Which Strategy? measures a folder, says what to do, and the panel shows it', async function () {
    this.timeout(240_000);
    const advice = await vscode.commands.executeCommand<Advice>('thaw.whichStrategy', pictures());
    assert.ok(v.is(adviceSchema, advice));
    assert.deepEqual(advice.dataset, { name: 'pictures', path: path.join(workspace(), 'pictures') });
    assert.ok(advice.measurements.probe.total > 0 && advice.reason.endsWith('.') && advice.measurements.pilot === undefined);
    await eventually(() => tabLabels().find((label) => label === 'Advice: pictures'), 'the panel\'s title', 10_000);
  });

  it('looks at no folder outside the workspace', async () => {
    const before = tabLabels();
    assert.equal(await vscode.commands.executeCommand('thaw.whichStrategy', vscode.Uri.file('/etc')), undefined);
    assert.deepEqual(tabLabels(), before);
  });
});

describe('weights', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'thaw-weights-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('Manage Weights lists what there is, and names what is chosen', async function () {
    this.timeout(60_000);
    let chosen: string | undefined;
    const command = vscode.commands.executeCommand<string | undefined>('thaw.manageWeights').then((name) => { chosen = name; });
    for (let tries = 0; chosen === undefined && tries < 200; tries++) { // the list comes from a process of its own
      await vscode.commands.executeCommand('workbench.action.acceptSelectedQuickOpenItem');
      await delay(100);
    }
    await command;
    assert.equal(chosen, 'efficientnet_lite0', 'the first, which is on this machine');
  });

  it('adds a file of own weights, and keeps away from one that is none', async function () {
    this.timeout(60_000);
    const state: StateDict = new Map(parameterSpecs(graphFor('squeezenet1_1', 3)).map(({ name, shape }) => [
      name, { dtype: 'float32', shape, data: new Float32Array(shape.reduce((product, size) => product * size, 1)) },
    ]));
    const file = path.join(folder, 'birds.safetensors');
    writeFileSync(file, writeSafetensors(state));
    const name = await vscode.commands.executeCommand<string>('thaw.manageWeights', vscode.Uri.file(file));
    assert.match(name, /^squeezenet1_1-[0-9a-f]{8}$/);
    const { own } = findOwnWeights(name) ?? {};
    assert.deepEqual([own?.backbone, own?.classes, own?.from], ['squeezenet1_1', 3, 'birds.safetensors']);

    const other = path.join(folder, 'notes.pth');
    writeFileSync(other, 'no weights');
    assert.equal(await vscode.commands.executeCommand('thaw.manageWeights', vscode.Uri.file(other)), undefined);
    assert.deepEqual(listOwnWeights().map((entry) => entry.name), [name]);
  });
});

describe('set-up', () => {
  it('Check Set-up shows the doctor\'s report as a document to copy', async function () {
    this.timeout(120_000);
    await vscode.commands.executeCommand('thaw.checkSetUp');
    const document = vscode.window.activeTextEditor?.document;
    assert.equal(document?.uri.scheme, 'thaw-setup');
    assert.match(document.getText(), /^Thaw set-up\n\n(?:.+\n)*Engine +ok +TensorFlow 2\.21/m);
    assert.match(document.getText(), /^Workspace trust +ok +This workspace is trusted\.$/m);
    assert.match(document.getText(), /\n\nNothing is missing\.\n$/);
  });

  for (const [platform, title, next] of [['win32', 'Windows on x86-64', 'Open the folder in WSL (Remote - WSL): there Thaw runs on Linux, with the GPU'], ['darwin', 'macOS on ', 'Open the folder on a Linux x86-64 machine over SSH']] as const) {
    it(`on ${title.replace(/ on .*/, '')} itself it says that Thaw runs on Linux only, where to go, and asks nothing`, async () => {
      const [real, { showErrorMessage, showInformationMessage }] = [process.platform, vscode.window];
      const said: string[] = [];
      const asked: string[] = [];
      const record = (into: string[]) => (text: string): Promise<undefined> => {
        into.push(text);
        return Promise.resolve(undefined);
      };
      Object.assign(vscode.window, { showErrorMessage: record(said), showInformationMessage: record(asked) }); // the extension's own API: this suite counts as a part of it
      Object.defineProperty(process, 'platform', { value: platform });
      try {
        await vscode.commands.executeCommand('thaw.setUpEngine');
        await vscode.commands.executeCommand('thaw.setUpGpu');
        await vscode.commands.executeCommand('thaw.trainWithFreeze', pictures());
      } finally {
        Object.defineProperty(process, 'platform', { value: real });
        Object.assign(vscode.window, { showErrorMessage, showInformationMessage });
      }
      assert.equal(said.length, 3, said.join('\n'));
      for (const text of said) assert.ok(text.startsWith(`Thaw trains on 64-bit x86 Linux only for now; this is ${title}`) && text.includes(next), text);
      assert.deepEqual(asked, []);
    });
  }
});
