// Beginning and writing a run folder: one writer, whole files, and nothing through a link.
import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { ThawError } from '../../src/protocol/errors.js';
import { RUN_ID } from '../../src/protocol/run.js';
import { defaultWorkspace } from '../../src/runs/datasetFolder.js';
import { newNonce } from '../../src/runs/processIdentity.js';
import { isUnreadable, listRuns, readPredictions, readRun, readSplit } from '../../src/runs/readRun.js';
import { createRunFolder, newRunId, placeError, runsFolderFor } from '../../src/runs/runFolder.js';
import { RunWriter } from '../../src/runs/runWriter.js';
import { childProcesses, lines, placeRun, temporaryFolder, until } from './runFixtures.js';
import { makeEpoch, makePredictions, makeRecord } from './runRecords.js';

const folder = temporaryFolder();
const start = childProcesses(folder);
const code = (expected: string) => (error: unknown): boolean => error instanceof ThawError && error.code === expected;

async function newRun(): Promise<string> {
  return createRunFolder(runsFolderFor(folder.workspace()), makeRecord({ state: 'waiting' }));
}

async function stateOf(directory: string, now = Date.now()): Promise<string> {
  const run = await readRun(directory, { now: () => now });
  return isUnreadable(run) ? run.reason : run.state;
}

describe('a new run folder', () => {
  test('lies in the nearest workspace above the dataset, which a home folder is not by the editor\'s own settings', () => {
    const home = folder.workspace();
    const dataset = path.join(home, 'pictures', 'birds');
    mkdirSync(dataset, { recursive: true });
    for (const mark of ['.vscode', '.git']) mkdirSync(path.join(home, mark));
    assert.equal(defaultWorkspace(dataset, home), path.join(home, 'pictures'));
    assert.equal(defaultWorkspace(dataset, '/elsewhere'), home);
    mkdirSync(path.join(home, '.thaw'));
    assert.equal(defaultWorkspace(dataset, home), home);
  });
  test('has a name that sorts by time, and is ignored by git', async () => {
    const id = newRunId('freeze', new Date('2026-11-24T17:36:39.123Z'));
    assert.match(id, /^20261124-173639-freeze-[0-9a-f]{6}$/);
    assert.match(id, RUN_ID);
    const workspace = folder.workspace();
    const directory = await createRunFolder(runsFolderFor(workspace), makeRecord());
    assert.equal(directory, path.join(workspace, '.thaw', 'runs', 'run-1'));
    assert.equal(readFileSync(path.join(workspace, '.thaw', '.gitignore'), 'utf8'), '*\n');
    assert.deepEqual(JSON.parse(readFileSync(path.join(directory, 'run.json'), 'utf8')), makeRecord());
    await assert.rejects(createRunFolder(runsFolderFor(workspace), makeRecord()), code('run-exists'));
  });
  test('is never seen without its record', async () => {
    const runs = runsFolderFor(folder.workspace());
    let made = 0;
    const making = (async () => {
      for (; made < 20; made += 1) await createRunFolder(runs, makeRecord({ id: `run-${String(made)}` }));
    })();
    while (made < 20) {
      for (const run of await listRuns(runs)) assert.ok(!isUnreadable(run), isUnreadable(run) ? run.reason : '');
      await new Promise((resolve) => { setImmediate(resolve); });
    }
    await making;
    assert.equal((await listRuns(runs)).length, 20);
  });
  test('is not made through a linked .thaw, runs or .gitignore', async () => {
    for (const linked of ['.thaw', '.thaw/runs']) {
      const [workspace, outside] = [folder.workspace(), folder.workspace()];
      mkdirSync(path.dirname(path.join(workspace, linked)), { recursive: true });
      symlinkSync(outside, path.join(workspace, linked));
      await assert.rejects(createRunFolder(runsFolderFor(workspace), makeRecord()), code('unsafe-path'), linked);
      assert.deepEqual(readdirSync(outside), [], linked);
    }
    const [workspace, outside] = [folder.workspace(), folder.workspace()];
    mkdirSync(path.join(workspace, '.thaw'));
    symlinkSync(path.join(outside, 'made'), path.join(workspace, '.thaw', '.gitignore'));
    await createRunFolder(runsFolderFor(workspace), makeRecord());
    assert.equal(existsSync(path.join(outside, 'made')), false);
  });
  test('that its place forbids says so, and where else it could lie', async () => {
    const runs = path.join(folder.workspace(), 'taken');
    writeFileSync(runs, '');
    for (const file of [runs, path.join(runs, 'below')]) {
      await assert.rejects(createRunFolder(file, makeRecord()), (error) => code('unwritable-folder')(error) && error instanceof ThawError
        && error.message === `A file stands where ${file} should be` && /--runs FOLDER.*in the editor/.test(error.next));
    }
    // Permissions don't bind root, who may run this.
    for (const refused of ['EACCES', 'EPERM', 'EROFS']) {
      const error = placeError(Object.assign(new Error(`${refused}: no, mkdir`), { code: refused }), '/data/.thaw/runs');
      assert.deepEqual([error?.code, error?.message], ['unwritable-folder', 'Thaw is not allowed to write in /data/.thaw/runs'], refused);
    }
    assert.equal(placeError(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }), '/data')?.code, 'disk-full');
    assert.equal(placeError(new Error('a defect'), '/data'), undefined);
  });
  test('elsewhere has no .gitignore of ours', async () => {
    const runs = path.join(folder.workspace(), 'a', 'b');
    await createRunFolder(runs, makeRecord());
    assert.deepEqual(readdirSync(runs), ['run-1']);
  });
});

describe('a writer', () => {
  test('writes what a reader then reads', async () => {
    const directory = await newRun();
    const writer = await RunWriter.open(directory, { nonce: newNonce() });
    await writer.update({ state: 'running' });
    for (let epoch = 1; epoch <= 3; epoch++) writer.event(makeEpoch(epoch));
    const predictions = makePredictions([true, false]);
    await writer.writePredictions(predictions);
    const split = { schemaVersion: 1 as const, images: [{ path: 'a/b.jpg', class: 0, split: 'train' as const, sha256: '0'.repeat(64) }] };
    await writer.writeSplit(split);
    const run = await readRun(directory);
    assert.ok(!isUnreadable(run));
    assert.equal(run.state, 'running');
    assert.equal(run.epochs.length, 3);
    assert.deepEqual(await readPredictions(directory), predictions);
    assert.deepEqual(await readSplit(directory), split);
    await writer.close();
    assert.equal(readdirSync(directory).some((name) => name.startsWith('.')), false, 'no temporary file is left');
    assert.equal(existsSync(path.join(process.env['THAW_HOME']!, 'state', 'trainers')) && readdirSync(path.join(process.env['THAW_HOME']!, 'state', 'trainers')).length, 0);
  });
  test('refuses a record that no reader would take, and keeps the old one', async () => {
    const directory = await newRun();
    const writer = await RunWriter.open(directory, { nonce: newNonce() });
    const before = readFileSync(path.join(directory, 'run.json'), 'utf8');
    await assert.rejects(writer.update({ state: 'interrupted' as 'running' }));
    assert.equal(readFileSync(path.join(directory, 'run.json'), 'utf8'), before);
    await Promise.all([writer.update({ state: 'starting' }), writer.update({ startedAt: '2026-01-02T03:04:05.000Z' }), writer.update({ state: 'running' })]);
    assert.deepEqual(JSON.parse(readFileSync(path.join(directory, 'run.json'), 'utf8')), makeRecord({ state: 'running', startedAt: '2026-01-02T03:04:05.000Z' }));
    assert.throws(() => writer.event({ ...makeEpoch(1), epoch: -1 }));
    await writer.close();
  });
  test('throttles steps and counts, but no epoch and no phase', async () => {
    const directory = await newRun();
    const writer = await RunWriter.open(directory, { nonce: newNonce() });
    for (let step = 1; step <= 50; step++) writer.event({ type: 'step', time: 1, epoch: 1, step, steps: 50, loss: 1, imagesPerSecond: 1 });
    for (let done = 0; done <= 50; done++) writer.event({ type: 'phase', time: 1, phase: 'features', message: '', done, total: 50 });
    for (let epoch = 1; epoch <= 5; epoch++) writer.event(makeEpoch(epoch));
    await writer.close();
    const types = readFileSync(path.join(directory, 'events.ndjson'), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as { type: string; done?: number });
    assert.equal(types.filter(({ type }) => type === 'epoch').length, 5);
    assert.ok(types.filter(({ type }) => type === 'step').length < 5);
    assert.ok(types.filter(({ type }) => type === 'phase').length < 6);
    assert.deepEqual([types.find(({ type }) => type === 'phase')?.done, types.findLast(({ type }) => type === 'phase')?.done], [0, 50]);
  });
  test('starts on a fresh line after a torn one', async () => {
    const directory = await newRun();
    writeFileSync(path.join(directory, 'events.ndjson'), `${lines(makeEpoch(1))}{"type":"ep`);
    writeFileSync(path.join(directory, '.run.json.0123456789ab.tmp'), '{');
    const writer = await RunWriter.open(directory, { nonce: newNonce() });
    writer.event(makeEpoch(2));
    await writer.close();
    const run = await readRun(directory);
    assert.ok(!isUnreadable(run));
    assert.deepEqual([run.epochs.length, run.damagedLines], [2, 1]);
    assert.equal(existsSync(path.join(directory, '.run.json.0123456789ab.tmp')), false);
  });
  test('beats on every event', async () => {
    const directory = await newRun();
    const writer = await RunWriter.open(directory, { nonce: newNonce() });
    const heartbeat = path.join(directory, 'heartbeat');
    utimesSync(heartbeat, 0, 0);
    writer.event({ type: 'step', time: 1, epoch: 1, step: 1, steps: 2, loss: 1, imagesPerSecond: 1 });
    assert.ok(Date.now() - statSync(heartbeat).mtimeMs < 5000);
    await writer.close();
  });
  test('hears a stop request, answers it, and takes a missing folder for one', async () => {
    const directory = await newRun();
    const writer = await RunWriter.open(directory, { nonce: newNonce() });
    assert.equal(writer.stopRequested(), false);
    writeFileSync(path.join(directory, 'stop'), '');
    await until('it hears', () => writer.stopRequested());
    const run = await readRun(directory);
    assert.equal(!isUnreadable(run) && run.phase?.phase, 'finishing');
    await writer.close();

    const other = await newRun();
    const second = await RunWriter.open(other, { nonce: newNonce() });
    rmSync(other, { recursive: true });
    await until('it sees', () => second.stopRequested());
    await second.close();
  });
  test('writes through no link', async () => {
    for (const name of ['events.ndjson', 'heartbeat', 'run.json']) {
      const directory = await newRun();
      const outside = path.join(folder.workspace(), 'victim');
      writeFileSync(outside, name === 'run.json' ? JSON.stringify(makeRecord()) : 'precious');
      const before = readFileSync(outside, 'utf8');
      rmSync(path.join(directory, name), { force: true });
      symlinkSync(outside, path.join(directory, name));
      await assert.rejects(RunWriter.open(directory, { nonce: newNonce() }), ThawError, name);
      assert.equal(readFileSync(outside, 'utf8'), before, name);
    }
    const [workspace, other] = [folder.workspace(), folder.workspace()];
    placeRun(other, { 'run.json': JSON.stringify(makeRecord()) });
    symlinkSync(path.join(other, '.thaw'), path.join(workspace, '.thaw'));
    await assert.rejects(RunWriter.open(path.join(workspace, '.thaw', 'runs', 'run-1'), { nonce: newNonce() }), code('unsafe-path'));
    assert.deepEqual(readdirSync(path.join(other, '.thaw', 'runs', 'run-1')), ['run.json']);
  });
  test('replaces a link that appears in place of its record, and refuses a folder that became one', async () => {
    const directory = await newRun();
    const writer = await RunWriter.open(directory, { nonce: newNonce() });
    const outside = path.join(folder.workspace(), 'victim');
    writeFileSync(outside, 'precious');
    rmSync(path.join(directory, 'run.json'));
    symlinkSync(outside, path.join(directory, 'run.json'));
    await writer.update({ state: 'running' });
    assert.equal(readFileSync(outside, 'utf8'), 'precious');
    const elsewhere = folder.workspace();
    rmSync(directory, { recursive: true });
    symlinkSync(elsewhere, directory);
    await assert.rejects(writer.update({ state: 'finished' }), code('unsafe-path'));
    assert.deepEqual(readdirSync(elsewhere), []);
    await writer.close();
  });
  test('is the only one', async () => {
    const directory = await newRun();
    const writer = await RunWriter.open(directory, { nonce: newNonce() });
    await assert.rejects(RunWriter.open(directory, { nonce: newNonce() }), code('run-is-locked'));
    await writer.update({ state: 'finished' });
    await writer.close();
    await assert.rejects(RunWriter.open(directory, { nonce: newNonce() }), code('run-has-ended'));
    await assert.rejects(RunWriter.open(`${directory}x`, { nonce: newNonce() }), code('run-not-found'));
    await assert.rejects(RunWriter.open(directory, { nonce: '../../x' }), code('bad-nonce'));
  });
  test('of five that open a run at once exactly one may', async () => {
    const directory = await newRun();
    const opened = await Promise.allSettled(Array.from({ length: 5 }, () => RunWriter.open(directory, { nonce: newNonce() })));
    const writers = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    assert.equal(writers.length, 1);
    for (const writer of writers) await writer.close();
  });
  test('keeps off a run with a fresh heartbeat of nobody known here', async () => {
    const directory = await newRun();
    writeFileSync(path.join(directory, 'heartbeat'), '');
    await assert.rejects(RunWriter.open(directory, { nonce: newNonce() }), code('run-is-locked'));
    utimesSync(path.join(directory, 'heartbeat'), 0, 0);
    await (await RunWriter.open(directory, { nonce: newNonce() })).close();
    assert.equal(await stateOf(directory), 'interrupted', 'closed without a final state');
  });
});

test('kill -9 leaves a run that reads as interrupted, and that another may take over', async () => {
  const directory = await newRun();
  const child = await start('train', directory, 'obedient', '--nonce', newNonce());
  assert.equal(await child.line(), 'open');
  await until('an epoch is written', async () => {
    const run = await readRun(directory);
    return !isUnreadable(run) && run.epochs.length > 2;
  });
  assert.equal(await stateOf(directory, Date.now() + 3_600_000), 'running', 'a process that lives is never called dead, however long it blocks');
  await assert.rejects(RunWriter.open(directory, { nonce: newNonce() }), code('run-is-locked'));
  child.process.kill('SIGKILL');
  await child.ended;
  assert.equal(await stateOf(directory), 'running', 'for the first 15 s');
  assert.equal(await stateOf(directory, Date.now() + 16_000), 'interrupted');
  appendFileSync(path.join(directory, 'events.ndjson'), '{"type":"epo');
  const run = await readRun(directory);
  assert.ok(!isUnreadable(run) && run.epochs.length > 2 && run.damagedLines === 0);
  const writer = await RunWriter.open(directory, { nonce: newNonce() });
  writer.event(makeEpoch(15));
  await writer.close();
});
