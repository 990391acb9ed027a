// Stopping, deleting and launching, with processes of their own.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { ThawError } from '../../src/protocol/errors.js';
import { Claim } from '../../src/runs/claims.js';
import { deleteRun } from '../../src/runs/deleteRun.js';
import { childEnvironment, launchTrainer, trainerSpawn } from '../../src/runs/launch.js';
import { trainerClaims } from '../../src/runs/liveness.js';
import { isProvedTrainer, livenessOf, newNonce, ownIdentity } from '../../src/runs/processIdentity.js';
import { isUnreadable, readRun } from '../../src/runs/readRun.js';
import { createRunFolder, runsFolderFor } from '../../src/runs/runFolder.js';
import { stopRun } from '../../src/runs/stopRun.js';
import { childProcesses, placeRun, temporaryFolder, until } from './runFixtures.js';
import { makeRecord } from './runRecords.js';

const folder = temporaryFolder();
const start = childProcesses(folder);
const code = (expected: string) => (error: unknown): boolean => error instanceof ThawError && error.code === expected;

async function newRun(): Promise<string> {
  return createRunFolder(runsFolderFor(folder.workspace()), makeRecord({ state: 'waiting' }));
}

async function stateOf(directory: string): Promise<string> {
  const run = await readRun(directory);
  return isUnreadable(run) ? run.reason : run.state;
}

/** A process that has nothing to do with us. */
const bystanders: ReturnType<typeof spawn>[] = [];
after(() => { for (const bystander of bystanders) bystander.kill('SIGKILL'); });
async function bystander(...args: string[]): Promise<ReturnType<typeof spawn>> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', ...args], { stdio: 'ignore' });
  bystanders.push(child);
  await new Promise((resolve) => child.once('spawn', resolve));
  // Until it has replaced the forked image its arguments are this process's.
  await until('its arguments are its own', () => readFileSync(`/proc/${child.pid ?? 0}/cmdline`, 'utf8').includes('setInterval'));
  return child;
}

describe('stop', () => {
  test('is honoured at the next batch', async () => {
    const directory = await newRun();
    const child = await start('train', directory, 'obedient', '--nonce', newNonce());
    await child.line();
    assert.equal(await stopRun(directory), 'stopped');
    await child.ended;
    assert.equal(await stateOf(directory), 'stopped');
    assert.equal(await stopRun(directory), 'not-running');
  });
  test('waits longer for a trainer that has answered', async () => {
    const directory = await newRun();
    const child = await start('train', directory, 'slow', '--nonce', newNonce());
    await child.line();
    assert.equal(await stopRun(directory, { graceMs: 2500 }), 'stopped');
    await child.ended;
  });
  test('waits longer where a batch takes longer than that', async () => {
    const directory = await newRun();
    const child = await start('train', directory, 'unhurried', '--nonce', newNonce());
    await child.line();
    assert.equal(await stopRun(directory, { graceMs: 200 }), 'stopped');
    await child.ended;
  });
  test('ends a trainer that doesn\'t answer, which then reads as interrupted at once', async () => {
    for (const how of ['deaf', 'stubborn']) {
      const directory = await newRun();
      const child = await start('train', directory, how, '--nonce', newNonce());
      await child.line();
      assert.equal(await stopRun(directory, { graceMs: 200, terminateMs: 300 }), 'killed', how);
      await child.ended;
      assert.equal(child.process.signalCode, how === 'deaf' ? 'SIGTERM' : 'SIGKILL');
      assert.equal(await stateOf(directory), 'interrupted');
    }
  });
  test('of a run whose trainer was killed finds it gone without waiting', async () => {
    const directory = await newRun();
    const child = await start('train', directory, 'obedient', '--nonce', newNonce());
    await child.line();
    child.process.kill('SIGKILL');
    await child.ended;
    const began = performance.now();
    assert.equal(await stopRun(directory), 'not-running');
    assert.ok(performance.now() - began < 4000);
    assert.equal(await stateOf(directory), 'interrupted');
  });
  test('kills nobody by a pid, or a whole identity, that stands in a workspace', async () => {
    const victim = await bystander();
    const workspace = folder.workspace();
    const identity = { ...ownIdentity(newNonce()), pid: victim.pid };
    const directory = placeRun(workspace, {
      'run.json': JSON.stringify(makeRecord()), heartbeat: `${victim.pid ?? 0}`, 'trainer.json': JSON.stringify(identity), pid: `${victim.pid ?? 0}`, 'lock.json': JSON.stringify(identity),
    });
    await assert.rejects(stopRun(directory, { graceMs: 100 }), code('stop-unanswered'));
    assert.equal(victim.exitCode ?? victim.signalCode, null);
    assert.ok(existsSync(path.join(directory, 'stop')), 'the request stays');
  });
  test('kills nobody whose start time or nonce is not the trainer\'s', async () => {
    const nonce = newNonce();
    const victim = await bystander(nonce);
    const pid = victim.pid!;
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const startTime = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!;
    const own = ownIdentity(nonce);
    assert.ok(isProvedTrainer({ ...own, pid, startTime }), 'the right one would be proved');
    const wrong = [
      { ...own, pid, startTime: `${Number(startTime) + 1}` }, { ...own, pid, startTime, nonce: newNonce() }, { ...own, pid, startTime, host: 'elsewhere' },
      { ...own, pid, startTime, bootId: 'another' }, { ...own, pid, startTime, pidNamespace: 'pid:[1]' },
    ];
    for (const identity of wrong) {
      assert.equal(isProvedTrainer(identity), false);
      const directory = await newRun();
      const claim = Claim.make(trainerClaims(directory), `${identity.nonce}.json`, identity);
      // Dead by its start time or boot: seen at once; else nobody answers.
      await stopRun(directory, { graceMs: 100 }).then((outcome) => assert.equal(outcome, 'not-running'), (error: unknown) => assert.ok(code('stop-unanswered')(error)));
      claim.remove();
    }
    assert.equal(victim.exitCode ?? victim.signalCode, null);
    assert.equal(livenessOf(own), 'alive');
  });
  test('is not asked for through a link', async () => {
    const [workspace, other] = [folder.workspace(), folder.workspace()];
    const real = placeRun(other, { 'run.json': JSON.stringify(makeRecord()) });
    mkdirSync(path.join(workspace, '.thaw', 'runs'), { recursive: true });
    symlinkSync(real, path.join(workspace, '.thaw', 'runs', 'run-1'));
    await assert.rejects(stopRun(path.join(workspace, '.thaw', 'runs', 'run-1')), code('run-unreadable'));
    assert.deepEqual(readdirSync(real), ['run.json']);
  });
});

describe('delete', () => {
  const remove = (directory: string): Promise<void> => rm(directory, { recursive: true });
  test('takes an ended run away and nothing that a link in it leads to', async () => {
    const [workspace, outside] = [folder.workspace(), folder.workspace()];
    writeFileSync(path.join(outside, 'precious'), '');
    const directory = placeRun(workspace, { 'run.json': JSON.stringify(makeRecord({ state: 'finished' })) });
    symlinkSync(outside, path.join(directory, 'model'));
    await deleteRun(directory, { within: workspace, remove });
    assert.equal(existsSync(directory), false);
    assert.ok(existsSync(path.join(outside, 'precious')));
    await assert.rejects(deleteRun(directory, { within: workspace, remove }), code('run-not-found'));
  });
  test('takes one away that can\'t be read', async () => {
    const directory = placeRun(folder.workspace(), { 'run.json': '{' });
    await deleteRun(directory, { remove });
    assert.equal(existsSync(directory), false);
  });
  test('refuses a live run, even one whose record says that it has ended', async () => {
    const directory = await newRun();
    const removed: string[] = [];
    const options = { remove: (target: string): Promise<void> => { removed.push(target); return Promise.resolve(); } };
    await assert.rejects(deleteRun(directory, options), code('run-is-live'));
    const child = await start('train', directory, 'obedient', '--nonce', newNonce());
    await child.line();
    writeFileSync(path.join(directory, 'run.json'), JSON.stringify(makeRecord({ state: 'finished' })));
    await assert.rejects(deleteRun(directory, options), code('run-is-live'));
    child.process.kill('SIGKILL');
    await child.ended;
    await deleteRun(directory, options);
    assert.deepEqual(removed, [directory]);
  });
  test('refuses a link, and a folder that is no run', async () => {
    const [workspace, other] = [folder.workspace(), folder.workspace()];
    const real = placeRun(other, { 'run.json': JSON.stringify(makeRecord({ state: 'finished' })) });
    mkdirSync(path.join(workspace, '.thaw', 'runs'), { recursive: true });
    symlinkSync(real, path.join(workspace, '.thaw', 'runs', 'run-1'));
    const options = { within: workspace, remove: (): Promise<void> => { throw new Error('removed'); } };
    await assert.rejects(deleteRun(path.join(workspace, '.thaw', 'runs', 'run-1'), options), code('unsafe-path'));
    await assert.rejects(deleteRun(real, options), code('unsafe-path'));
    await assert.rejects(deleteRun(workspace, options), code('unsafe-path'));
  });
});

describe('launch', () => {
  const environment = {
    PATH: '/bin', HOME: '/home/x', LANG: 'C', LC_ALL: 'C', XDG_CACHE_HOME: '/c', THAW_HOME: '/t', CUDA_VISIBLE_DEVICES: '0', HTTPS_PROXY: 'http://p', TMPDIR: '/tmp',
    NODE_OPTIONS: '--require /evil.js', VSCODE_IPC_HOOK: 'x', ELECTRON_RUN_AS_NODE: 'x', LD_PRELOAD: '/evil.so', LD_LIBRARY_PATH: '/evil', NODE_PATH: '/evil', PYTHONPATH: '/evil', TF_CPP_MIN_LOG_LEVEL: '0',
  };
  const kept = { PATH: '/bin', HOME: '/home/x', LANG: 'C', LC_ALL: 'C', XDG_CACHE_HOME: '/c', THAW_HOME: '/t', CUDA_VISIBLE_DEVICES: '0', HTTPS_PROXY: 'http://p', TMPDIR: '/tmp' };
  const common = { trainerScript: '/ext/dist/trainer.js', runDirectory: '/w/.thaw/runs/r', nonce: 'n', environment, logDescriptor: 7 };
  const args = ['/ext/dist/trainer.js', '--run', '/w/.thaw/runs/r', '--nonce', 'n'];
  const options = { cwd: '/w/.thaw/runs/r', detached: true, stdio: ['ignore', 7, 7], windowsHide: true, shell: false };
  test('under Node', () => {
    assert.deepEqual(trainerSpawn({ ...common, execPath: '/usr/bin/node', electron: false }), { command: '/usr/bin/node', args, options: { ...options, env: kept } });
  });
  test('under the desktop\'s Electron', () => {
    assert.deepEqual(trainerSpawn({ ...common, execPath: '/opt/code/code', electron: true }), { command: '/opt/code/code', args, options: { ...options, env: { ...kept, ELECTRON_RUN_AS_NODE: '1' } } });
    assert.deepEqual(childEnvironment({}, { electron: true }), { ELECTRON_RUN_AS_NODE: '1' });
  });
  test('starts a process of a session of its own that logs into the run folder', async () => {
    const directory = await newRun();
    const script = path.join(folder.workspace(), 'trainer.js');
    writeFileSync(script, 'console.log(JSON.stringify({ cwd: process.cwd(), argv: process.argv.slice(2), fork: process.send === undefined })); console.error("also here");');
    writeFileSync(path.join(directory, 'trainer.log'), 'before\n');
    const { pid, nonce } = await launchTrainer({ runDirectory: directory, trainerScript: script });
    assert.ok(pid > 0);
    const log = (): string => readFileSync(path.join(directory, 'trainer.log'), 'utf8');
    await until('it has logged', () => log().includes('also here'));
    const [before, said] = log().split('\n');
    assert.equal(before, 'before');
    assert.deepEqual(JSON.parse(said!), { cwd: directory, argv: ['--run', directory, '--nonce', nonce], fork: true });
  });
  test('that fails marks the run failed and tells its caller', async () => {
    const directory = await newRun();
    await assert.rejects(launchTrainer({ runDirectory: directory, trainerScript: '/x.js', execPath: '/no/such/node' }), code('trainer-not-started'));
    const run = await readRun(directory);
    assert.ok(!isUnreadable(run));
    assert.equal(run.state, 'failed');
    assert.match(run.record.failure!.message, /could not be started.*ENOENT/);
  });
  test('logs through no link', async () => {
    const directory = await newRun();
    const outside = path.join(folder.workspace(), 'victim');
    writeFileSync(outside, '');
    symlinkSync(outside, path.join(directory, 'trainer.log'));
    await assert.rejects(launchTrainer({ runDirectory: directory, trainerScript: '/x.js' }), code('unsafe-path'));
    assert.equal(readFileSync(outside, 'utf8'), '');
  });
});
