// Comparing runs, and what the verdict says.
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { mcnemarExact } from '../../src/metrics/significance.js';
import type { UntestedPair } from '../../src/protocol/comparison.js';
import { ThawError } from '../../src/protocol/errors.js';
import { ENGLISH } from '../../src/protocol/localiser.js';
import type { Device, Prediction, RunData, RunRecord, RunResult } from '../../src/protocol/run.js';
import type { RunSnapshot } from '../../src/protocol/snapshot.js';
import { compareRuns } from '../../src/runs/compareRuns.js';
import { isTested, runNames } from '../../src/runs/verdict.js';
import { lines, placeRun, temporaryFolder } from './runFixtures.js';
import { FINGERPRINT, makeEpoch, makePredictions, makeRecord, makeResult, makeSnapshot } from './runRecords.js';

const folder = temporaryFolder();

const data: RunData = {
  classes: ['ants', 'bees'], layout: 'given', train: 245, validation: 153, test: 0, counts: [], fingerprint: FINGERPRINT, leftOut: [], leftOutCount: 0, warnings: [],
};
const cpu: Device = { kind: 'cpu', name: 'CPU (2 threads)' };
const environmentOn = (device: Device): NonNullable<RunRecord['environment']> => ({
  thaw: '0.1.0', node: 'v20', platform: 'linux-x64', tensorflow: '2.21.0', sharp: '0', threads: 2, device, weights: { name: 'w', sha256: FINGERPRINT, source: 'x' },
});

interface Planned {
  readonly id: string;
  readonly strategy?: 'freeze' | 'finetune';
  readonly colour?: 'rgb' | 'gray';
  readonly seed?: number;
  /** Whether it is right, image by image; undefined: no result. */
  readonly right?: readonly boolean[];
  readonly record?: Partial<RunRecord>;
  readonly result?: Partial<RunResult>;
  readonly snapshot?: Partial<RunSnapshot>;
  readonly predictions?: readonly Prediction[];
}

function plan(runs: readonly Planned[]): { snapshots: RunSnapshot[]; predictions: (run: RunSnapshot) => Promise<readonly Prediction[]> } {
  const stored = new Map<string, readonly Prediction[]>();
  const snapshots = runs.map(({ id, strategy = 'freeze', colour = 'rgb', seed = 0, right, record, result, snapshot, predictions }) => {
    if (right !== undefined) stored.set(id, predictions ?? makePredictions(right));
    return makeSnapshot(`/runs/${id}`, {
      state: right === undefined ? 'running' : 'finished', data, environment: environmentOn(cpu),
      configuration: { ...makeRecord().configuration, strategy, colour, seed },
      ...(right !== undefined && { result: makeResult(right.filter(Boolean).length, right.length, result) }), ...record,
    }, snapshot);
  });
  return {
    snapshots,
    predictions: (run) => {
      const found = stored.get(path.basename(run.directory));
      return found === undefined ? Promise.reject(new ThawError('run', 'predictions-unreadable', `The run ${run.record.id} can't be read: it has no predictions.ndjson`, 'Train again')) : Promise.resolve(found);
    },
  };
}

/** Answers of two runs on `n` images: `a` only the first right, `b` only the second, `c` neither. */
function answers(n: number, a: number, b: number, c: number): [boolean[], boolean[]] {
  const images = Array.from({ length: n }, (_, index) => index);
  return [images.map((i) => i < a || i >= a + b + c), images.map((i) => i >= a && (i < a + b || i >= a + b + c))];
}

const [freeze, finetune] = answers(153, 5, 4, 2);

describe('two runs', () => {
  test('in colour and in gray are tested like any other two', async () => {
    const { snapshots, predictions } = plan([{ id: 'a', right: freeze }, { id: 'b', colour: 'gray', right: finetune }]);
    const { pairs, verdict } = await compareRuns(snapshots, { predictions });
    assert.deepEqual(pairs.map((pair) => isTested(pair) && [pair.images, pair.onlyFirstRight, pair.onlySecondRight]), [[153, 5, 4]]);
    assert.equal(verdict.title, 'No detectable difference between freeze and freeze gray');
  });
  test('that can\'t be told apart', async () => {
    const { snapshots, predictions } = plan([
      { id: 'b', strategy: 'finetune', right: finetune, result: { seconds: 37 } }, { id: 'a', right: freeze, result: { seconds: 6 } },
    ]);
    const { runs, pairs, verdict } = await compareRuns(snapshots, { predictions });
    assert.deepEqual(runs.map(({ record }) => record.id), ['a', 'b']);
    assert.deepEqual(pairs, [{ first: '/runs/a', second: '/runs/b', images: 153, bothRight: 142, onlyFirstRight: 5, onlySecondRight: 4, bothWrong: 2, p: 1, pHolm: 1 }]);
    assert.deepEqual(verdict, {
      title: 'No detectable difference between freeze and finetune',
      body: [
        'They are right on 147 and 146 of 153 images and disagree on 9, split 5 to 4 (McNemar p = 1.00).',
        'Take freeze: as good here, and 6 times faster.',
      ],
      note: 'Each accuracy is the best epoch, chosen on the same images, so slightly optimistic.',
    });
  });
  test('of which one is better', async () => {
    const [better, worse] = answers(153, 14, 2, 1);
    const { snapshots, predictions } = plan([{ id: 'a', right: worse, result: { seconds: 6 } }, { id: 'b', strategy: 'finetune', right: better, result: { seconds: 37 } }]);
    const { verdict } = await compareRuns(snapshots, { predictions });
    assert.equal(verdict.title, 'Finetune is better here');
    assert.deepEqual(verdict.body, ['They are right on 150 and 138 of 153 images and disagree on 16, split 14 to 2 (McNemar p = .004).', 'Finetune took 0:37, freeze 0:06.']);
  });
  test('say nothing of speed that was not measured alike', async () => {
    const gpu: Device = { kind: 'gpu', name: 'NVIDIA RTX 4090, 24 GiB' };
    for (const [what, record, snapshot] of [
      ['another device', { environment: environmentOn(gpu) }, {}], ['stopped', { state: 'stopped' }, {}],
    ] as [string, Partial<RunRecord>, Partial<RunSnapshot>][]) {
      const { snapshots, predictions } = plan([{ id: 'a', right: freeze, result: { seconds: 6 }, record, snapshot }, { id: 'b', strategy: 'finetune', right: finetune, result: { seconds: 37 } }]);
      assert.equal((await compareRuns(snapshots, { predictions })).verdict.body.length, 1, what);
    }
    const cached = plan([{ id: 'a', right: freeze, result: { seconds: 0.5, imagesPerSecondOf: 'cached features' } }, { id: 'b', strategy: 'finetune', right: finetune, result: { seconds: 37 } }]);
    assert.match((await compareRuns(cached.snapshots, { predictions: cached.predictions })).verdict.body[1]!, /74 times faster, from features that an earlier run had left in the cache\.$/);
    const alike = plan([{ id: 'a', right: freeze, result: { seconds: 30 } }, { id: 'b', strategy: 'finetune', right: finetune, result: { seconds: 37 } }]);
    assert.equal((await compareRuns(alike.snapshots, { predictions: alike.predictions })).verdict.body.length, 1);
  });
  test('scored on the test images carry no note on the best epoch', async () => {
    const both = (right: readonly boolean[]): Prediction[] => [...makePredictions(right, 'test'), ...makePredictions(right.slice(0, 5))];
    const { snapshots, predictions } = plan([
      { id: 'a', right: freeze, predictions: both(freeze), result: { accuracySplit: 'test' } }, { id: 'b', strategy: 'finetune', right: finetune, predictions: both(finetune), result: { accuracySplit: 'test' } },
    ]);
    const { verdict, pairs } = await compareRuns(snapshots, { predictions });
    assert.equal(verdict.note, undefined);
    assert.ok(isTested(pairs[0]!) && pairs[0].images === 153);
  });
  test('are not tested where that would compare unlike things, and it says why', async () => {
    const other = makePredictions(finetune).map((prediction) => ({ ...prediction, sha256: 'b'.repeat(64) }));
    const swapped = makePredictions(finetune);
    swapped[1] = swapped[0]!;
    const cases: [string, Partial<Planned>, RegExp][] = [
      ['another split', { record: { data: { ...data, fingerprint: 'b'.repeat(64) } } }, /^Freeze and finetune saw different splits/],
      ['another scored split', { result: { accuracySplit: 'test' } }, /^Freeze is scored on the validation images, finetune on the test images\.$/],
      ['other images', { predictions: other }, /not of the same images/],
      ['an image twice', { predictions: swapped }, /predictions of finetune don't agree with its result/],
      ['too few', { predictions: makePredictions(finetune).slice(1) }, /don't agree with its result: 145 of 152 right, not 146 of 153|don't agree with its result: 146 of 152 right, not 146 of 153/],
      ['others than the result counts', { result: { correct: 153 } }, /don't agree/],
    ];
    for (const [what, change, expected] of cases) {
      const { snapshots, predictions } = plan([{ id: 'a', right: freeze }, { id: 'b', strategy: 'finetune', right: finetune, ...change }]);
      const { pairs, verdict } = await compareRuns(snapshots, { predictions });
      const [pair] = pairs as [UntestedPair];
      assert.match(pair.reason, expected, what);
      assert.match(verdict.title, /^No test/, what);
      assert.deepEqual(verdict.body, [pair.reason], what);
    }
  });
  test('whose predictions are gone', async () => {
    const workspace = folder.workspace();
    const { snapshots } = plan([{ id: 'a', right: freeze }, { id: 'b', strategy: 'finetune', right: finetune }]);
    const placed = snapshots.map((run) => ({ ...run, directory: placeRun(workspace, run.record.id === 'a' ? { 'predictions.ndjson': lines(...makePredictions(freeze)) } : {}, run.record.id) }));
    const { pairs } = await compareRuns(placed);
    assert.deepEqual(pairs.map((pair) => !isTested(pair) && pair.reason), ['The run b can\'t be read: it has no predictions.ndjson.']);
  });
  test('of which one is still going', async () => {
    const { snapshots, predictions } = plan([{ id: 'b', strategy: 'finetune', snapshot: { epochs: [makeEpoch(1, 141)], best: 0 } }, { id: 'a', right: freeze }]);
    const { runs, verdict, pairs } = await compareRuns(snapshots, { predictions });
    assert.deepEqual(runs.map(({ record }) => record.id), ['a', 'b'], 'without a result last');
    assert.deepEqual(verdict, { title: 'No verdict yet', body: ['Finetune is still going, .922 so far (best of 1 epoch).'] });
    assert.deepEqual(pairs, [{ first: '/runs/a', second: '/runs/b', reason: 'Finetune is still going, .922 so far (best of 1 epoch).' }]);
  });
});

test('one run, and none', async () => {
  const { snapshots, predictions } = plan([{ id: 'a', right: freeze }]);
  assert.equal((await compareRuns(snapshots, { predictions })).verdict.title, 'One run, nothing to compare it with');
  assert.equal((await compareRuns([...snapshots, ...snapshots], { predictions })).runs.length, 1, 'a run is not compared with itself');
  assert.equal((await compareRuns([])).verdict.title, 'No run to compare');
  await assert.rejects(compareRuns(plan(Array.from({ length: 13 }, (_, i) => ({ id: `r${i}` }))).snapshots), (error) => error instanceof ThawError && error.code === 'too-many-runs');
});

test('of many, p-values are corrected and the best are named', async () => {
  const [best, close] = answers(153, 3, 1, 1);
  const far = best.map((right, i) => right && i % 7 !== 0);
  const { snapshots, predictions } = plan([
    { id: 'c', strategy: 'finetune', seed: 2, right: far }, { id: 'b', strategy: 'freeze', seed: 2, right: close }, { id: 'a', seed: 1, right: best }, { id: 'd', strategy: 'finetune', seed: 3 },
  ]);
  const { pairs, verdict } = await compareRuns(snapshots, { predictions });
  const tested = pairs.filter(isTested);
  assert.equal(tested.length, 3);
  assert.equal(pairs.length, 6);
  for (const pair of tested) {
    assert.equal(pair.p, mcnemarExact(pair.onlyFirstRight, pair.onlySecondRight));
    assert.ok(pair.pHolm >= pair.p);
  }
  assert.equal(verdict.title, 'No detectable difference between freeze with seed 1 and freeze with seed 2');
  assert.match(verdict.body.join(' '), /Freeze with seed 1 and finetune with seed 2 are right on 151 and 1\d\d of 153 images and disagree on \d+, split \d+ to 0 \(McNemar p < \.001 after correction for 3 comparisons\)\./);
  assert.match(verdict.body.at(-1)!, /^Finetune with seed 3 is still going\.$/);
});

test('names tell runs apart by what differs, and by nothing else', () => {
  const named = (...runs: Planned[]): string[] => runNames(plan(runs).snapshots, ENGLISH);
  assert.deepEqual(named({ id: 'a' }, { id: 'b', strategy: 'finetune', seed: 1 }), ['freeze', 'finetune']);
  assert.deepEqual(named({ id: 'a' }, { id: 'b', seed: 1 }), ['freeze with seed 0', 'freeze with seed 1']);
  assert.deepEqual(named({ id: 'a' }, { id: 'b', colour: 'gray', seed: 1 }), ['freeze', 'freeze gray']);
  assert.deepEqual(named({ id: 'a', colour: 'gray' }, { id: 'b', colour: 'gray', seed: 1 }), ['freeze gray with seed 0', 'freeze gray with seed 1']);
  assert.deepEqual(named({ id: 'a' }, { id: 'b' }), ['freeze (a)', 'freeze (b)']);
  assert.deepEqual(named({ id: 'a' }, { id: 'b', record: { dataset: { name: 'emoji', path: '.' } } }), ['freeze on hymenoptera', 'freeze on emoji']);
});
