// Following runs while they are written.
import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { RunSnapshot, UnreadableRun } from '../../src/protocol/snapshot.js';
import { followRun, followRuns } from '../../src/runs/followRun.js';
import { newNonce } from '../../src/runs/processIdentity.js';
import { isUnreadable } from '../../src/runs/readRun.js';
import { createRunFolder, runsFolderFor } from '../../src/runs/runFolder.js';
import { RunWriter } from '../../src/runs/runWriter.js';
import { lines, placeRun, temporaryFolder, until } from './runFixtures.js';
import { makeEpoch, makeRecord } from './runRecords.js';

const folder = temporaryFolder();

describe('a followed run', () => {
  test('is told at once and whenever it changes, until it is let go', async () => {
    const directory = await createRunFolder(runsFolderFor(folder.workspace()), makeRecord({ state: 'waiting' }));
    const seen: (RunSnapshot | UnreadableRun)[] = [];
    const last = (): RunSnapshot | undefined => seen.flatMap((run) => (isUnreadable(run) ? [] : [run])).at(-1);
    const following = followRun(directory, (run) => seen.push(run));
    try {
      await until('the first', () => last()?.state === 'waiting');
      const writer = await RunWriter.open(directory, { nonce: newNonce() });
      await writer.update({ state: 'running' });
      for (let epoch = 1; epoch <= 3; epoch++) writer.event(makeEpoch(epoch));
      await until('the epochs', () => last()?.epochs.length === 3 && last()?.state === 'running');
      await writer.update({ state: 'stopped' });
      await writer.close();
      await until('the end', () => last()?.state === 'stopped');
      const count = seen.length;
      await new Promise((resolve) => setTimeout(resolve, 1200));
      assert.equal(seen.length, count, 'nothing has changed, nothing is said');
      rmSync(directory, { recursive: true });
      await until('it is gone', () => seen.some((run) => isUnreadable(run) && run.reason === 'the folder is gone'));
    } finally {
      following.dispose();
    }
    const count = seen.length;
    mkdirSync(directory, { recursive: true });
    writeFileSync(path.join(directory, 'run.json'), JSON.stringify(makeRecord()));
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(seen.length, count, 'nothing is said after dispose');
  });
  test('is not told more often than every 100 ms', async () => {
    const directory = placeRun(folder.workspace(), { 'run.json': JSON.stringify(makeRecord()) });
    const times: number[] = [];
    const following = followRun(directory, () => times.push(performance.now()));
    try {
      const began = performance.now();
      for (let epoch = 1; performance.now() - began < 600; epoch++) {
        appendFileSync(path.join(directory, 'events.ndjson'), lines(makeEpoch(epoch)));
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    } finally {
      following.dispose();
    }
    assert.ok(times.length >= 2 && times.length <= 8, `${times.length} times in 600 ms`);
  });
  test('that ends while its callback throws is still followed', async () => {
    const directory = placeRun(folder.workspace(), { 'run.json': JSON.stringify(makeRecord()) });
    const errors: unknown[] = [];
    let calls = 0;
    const following = followRun(directory, () => { calls += 1; throw new Error('mine'); }, { onError: (error) => errors.push(error) });
    try {
      await until('the first', () => errors.length === 1);
      appendFileSync(path.join(directory, 'events.ndjson'), lines(makeEpoch(1)));
      await until('the second', () => calls === 2 && errors.length === 2);
    } finally {
      following.dispose();
    }
  });
});

describe('a followed runs folder', () => {
  test('shows runs come, change and go, and may be missing at first', async () => {
    const workspace = folder.workspace();
    const seen: string[][] = [];
    const following = followRuns(runsFolderFor(workspace), (runs) => {
      seen.push(runs.map((run) => (isUnreadable(run) ? `${run.id}: ${run.reason}` : `${run.record.id} ${run.state} ${run.epochs.length}`)));
    }, { within: workspace });
    const last = (): string => JSON.stringify(seen.at(-1));
    try {
      await until('none', () => last() === '[]');
      const directory = await createRunFolder(runsFolderFor(workspace), makeRecord({ id: 'one', state: 'running' }));
      await until('one', () => last() === '["one running 0"]');
      writeFileSync(path.join(directory, 'events.ndjson'), lines(makeEpoch(1)));
      await until('its epoch', () => last() === '["one running 1"]');
      placeRun(workspace, { 'run.json': JSON.stringify(makeRecord({ id: 'two', state: 'finished', createdAt: '2026-02-01T00:00:00.000Z' })) }, 'two');
      symlinkSync(directory, path.join(runsFolderFor(workspace), 'three'));
      await until('two more', () => last() === '["two finished 0","one running 1","three: \\"three\\" is a link, and links are not followed"]');
      rmSync(path.join(workspace, '.thaw', 'runs', 'three'));
      rmSync(path.join(workspace, '.thaw', 'runs', 'two'), { recursive: true });
      await until('they are gone', () => last() === '["one running 1"]');
    } finally {
      following.dispose();
    }
  });
  test('behind a linked .thaw is told as what it is', async () => {
    const [workspace, other] = [folder.workspace(), folder.workspace()];
    placeRun(other, { 'run.json': JSON.stringify(makeRecord()) });
    symlinkSync(path.join(other, '.thaw'), path.join(workspace, '.thaw'));
    let reasons: string[] = [];
    const following = followRuns(runsFolderFor(workspace), (runs) => { reasons = runs.map((run) => (isUnreadable(run) ? run.reason : 'read')); }, { within: workspace });
    try {
      await until('it is told', () => reasons.length > 0);
      assert.deepEqual(reasons, ['".thaw" is a link, and links are not followed']);
      assert.equal(readFileSync(path.join(other, '.thaw', 'runs', 'run-1', 'run.json'), 'utf8'), JSON.stringify(makeRecord()));
    } finally {
      following.dispose();
    }
  });
});
