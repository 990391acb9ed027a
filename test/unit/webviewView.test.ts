// What the panel says about a run and a comparison, and how its axes are chosen.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RunData } from '../../src/protocol/run.js';
import type { RunSnapshot } from '../../src/protocol/snapshot.js';
import type { StudySnapshot } from '../../src/protocol/study.js';
import { studyRows } from '../../src/study/tables.js';
import { accuracyAxis, accuracyTick, axisTicks, epochTicks, intervalAxis, lossAxis, lossTick } from '../../src/webview/axes.js';
import { dashOf, marksOf } from '../../src/webview/marks.js';
import { comparedPairs, comparedRuns, comparisonFacts, comparisonTitle } from '../../src/webview/compareView.js';
import { parseHostMessage } from '../../src/webview/hostMessages.js';
import { majorityBaseline, runView, secondsElapsed, secondsLeft, shortened } from '../../src/webview/runView.js';
import { tableKey } from '../../src/webview/studyScreen.js';
import { throttle } from '../../src/webview/throttle.js';
import { WORDS } from '../../src/webview/words.js';
import { DATA, epochEvents, phase, snapshot, START, stepAfter } from '../harness/snapshots.js';
import { makeStudySnapshot } from '../harness/studies.js';

const view = (run: RunSnapshot, more: Partial<Parameters<typeof runView>[1]> = {}) =>
  runView(run, { now: START + 31_000, stopping: false, timeOfDay: (time) => new Date(time).toISOString().slice(11, 19), ...more });

describe('axes', () => {
  test('the epoch axis names the first, the last and a few round ones', () => {
    assert.deepEqual(epochTicks(1), [1]);
    assert.deepEqual(epochTicks(2), [1, 2]);
    assert.deepEqual(epochTicks(8), [1, 2, 4, 6, 8]);
    assert.deepEqual(epochTicks(15), [1, 5, 10, 15]);
    assert.deepEqual(epochTicks(100), [1, 20, 40, 60, 80, 100]);
    for (const epochs of [3, 7, 31, 250, 1000]) assert.ok(epochTicks(epochs).length <= 7, String(epochs));
  });

  test('accuracy starts a tenth below the largest class, and only widens', () => {
    const start = accuracyAxis(undefined, 83 / 153, []);
    assert.deepEqual(start, { min: 0.4, max: 1, step: 0.1 });
    assert.deepEqual(accuracyAxis(start, 83 / 153, [0.95, 0.99]), start);
    const lower = accuracyAxis(start, 83 / 153, [0.38]);
    assert.deepEqual(lower, { min: 0.3, max: 1, step: 0.1 });
    assert.deepEqual(accuracyAxis(lower, 83 / 153, [0.9]), lower);
    assert.deepEqual(accuracyAxis(undefined, 0.05, []), { min: 0, max: 1, step: 0.2 });
    assert.deepEqual(accuracyAxis(undefined, 0.96, []), { min: 0.8, max: 1, step: 0.05 });
    assert.deepEqual(accuracyAxis(undefined, 1, [1]), { min: 0.9, max: 1, step: 0.05 });
  });

  test('no value is ever outside its axis, and the ends are ticks', () => {
    for (let value = 0; value <= 1; value += 0.013) {
      for (const baseline of [undefined, 0.1, 0.3, 0.542, 0.9]) {
        const axis = accuracyAxis(undefined, baseline, [value]);
        assert.ok(axis.min <= value && value <= axis.max);
        const ticks = axisTicks(axis);
        assert.deepEqual([ticks[0], ticks.at(-1)], [axis.min, axis.max]);
      }
    }
    for (const value of [0, 0.3, 1.0001, 1.95, 7, 9.99, 10.01, 4321, 1e9]) {
      const axis = lossAxis(undefined, 2, [value]);
      assert.ok(axis.max >= value, `${value} in ${axis.max}`);
      assert.equal(axisTicks(axis).at(-1), axis.max);
    }
  });

  test('loss starts at what guessing costs, and only widens', () => {
    assert.deepEqual(lossAxis(undefined, 2, []), { min: 0, max: 1, step: 0.2 });
    assert.deepEqual(lossAxis(undefined, 7, []), { min: 0, max: 2, step: 0.5 });
    assert.deepEqual(lossAxis({ min: 0, max: 3, step: 0.5 }, 2, [0.1]), { min: 0, max: 3, step: 0.5 });
  });

  test('ticks are written short', () => {
    assert.deepEqual([0, 0.4, 0.85, 1].map(accuracyTick), ['0', '.4', '.85', '1.0']);
    assert.deepEqual([0, 0.2, 1].map((value) => lossTick(value, 0.2)), ['0', '0.2', '1.0']);
    assert.equal(lossTick(20, 10), '20');
  });

  test('intervals share the narrowest scale that holds them all', () => {
    assert.equal(intervalAxis([0.917, 0.845]).min, 0.8);
    assert.equal(intervalAxis([0.917, 0.6]).min, 0.5);
    assert.equal(intervalAxis([0.917, 0.2]).min, 0);
    assert.equal(intervalAxis([]).min, 0.8);
  });
});

describe('a run in words', () => {
  test('the largest class of the scored split is the baseline', () => {
    assert.deepEqual(majorityBaseline(DATA, 'validation'), { accuracy: 83 / 153, label: 'always bees .542' });
    assert.equal(majorityBaseline(DATA, 'test'), undefined);
    assert.equal(majorityBaseline(undefined, 'validation'), undefined);
    const even: RunData = { ...DATA, counts: [{ train: 1, validation: 5, test: 0 }, { train: 1, validation: 5, test: 0 }] };
    assert.equal(majorityBaseline(even, 'validation')?.label, 'always ants .500');
    assert.equal(shortened('a'.repeat(30), 24), `${'a'.repeat(23)}…`);
    assert.equal(shortened('🐝'.repeat(24), 24), '🐝'.repeat(24));
  });

  test('time left is unknown before the first epoch, then the mean of the last five', () => {
    assert.equal(secondsLeft(snapshot({ epochs: 0 }), START), undefined);
    assert.equal(view(snapshot({ epochs: 0 })).left, 'estimating');
    const run = snapshot({ epochs: 11 });
    const last = run.epochs.at(-1)!.time;
    assert.ok(Math.abs(secondsLeft(run, last)! - 4 * 2.4) < 1e-9);
    assert.ok(Math.abs(secondsLeft(run, last + 1000)! - (4 * 2.4 - 1)) < 1e-9);
    assert.ok(Math.abs(secondsLeft(run, last + 3_600_000)! - 3 * 2.4) < 1e-9, 'a hanging epoch counts once');
    assert.equal(secondsLeft(snapshot({ epochs: 15 }), last), undefined);
    assert.equal(secondsLeft(snapshot({ epochs: 11, state: 'interrupted' }), last), undefined);
  });

  test('time passed stops with the run', () => {
    assert.equal(secondsElapsed(snapshot(), START + 27_000), 27);
    assert.equal(secondsElapsed(snapshot({ state: 'interrupted', epochs: 2 }), START + 1e9), 2 + 2 * 2.4);
    assert.equal(secondsElapsed(snapshot({ state: 'failed', epochs: 2 }), START + 1e9), 2 + 2 * 2.4);
    assert.equal(secondsElapsed(snapshot({ state: 'waiting', epochs: 0 }), START + 4000), 5);
    assert.equal(secondsElapsed(snapshot(), START - 5000), 0);
  });

  test('the newer of step and phase is told', () => {
    const run = stepAfter(snapshot());
    assert.equal(view(run).message, 'Epoch 12 of 15, step 2 of 4');
    assert.equal(view({ ...run, phase: phase('finishing', 'Writing the result', { time: START + 60_000 }) }).message, 'Writing the result');
    assert.equal(view(run, { note: 'Reconnected' }).message, 'Reconnected');
    assert.equal(view(run, { stopping: true }).message, 'Stopping at the next batch');
  });

  test('the bar counts epochs, and before them the images of the phase', () => {
    const features = view(snapshot({ epochs: 0, snapshot: { phase: phase('features', 'Computing features', { done: 30, total: 120 }) } }));
    assert.deepEqual([features.share, features.shareOf], [0.25, 'phase']);
    const running = view(stepAfter(snapshot()));
    assert.deepEqual([running.share, running.shareOf], [11.5 / 15, 'epochs']);
    assert.equal(view(snapshot({ state: 'waiting', epochs: 0, snapshot: { phase: phase('waiting', 'Waiting', { done: 0, total: 2 }) } })).share, 0);
  });

  test('weights are said to be kept only where there is a result', () => {
    assert.equal(view(snapshot({ state: 'stopped', epochs: 6 })).message, 'Stopped after epoch 6. The weights of epoch 5 were kept');
    const run = snapshot({ state: 'stopped', epochs: 6 });
    const { result: _, ...record } = run.record;
    assert.equal(view({ ...run, record }).message, 'Stopped after epoch 6');
    assert.equal(view(snapshot({ state: 'stopped', epochs: 0 })).message, 'Stopped before the first epoch ended');
    assert.equal(view(snapshot({ state: 'interrupted', epochs: 0 })).message, 'The trainer stopped before the first epoch ended');
  });

  test('the headline is the test accuracy where there is a test split', () => {
    const finished = snapshot({ state: 'finished', epochs: 15 });
    assert.equal(view(finished).headline.label, 'Best val accuracy');
    assert.equal(view(finished).headline.detail, '146 of 153 right, epoch 10');
    const onTest = view({
      ...finished,
      record: { ...finished.record, result: { ...finished.record.result!, accuracySplit: 'test', accuracy: 0.9, correct: 90, total: 100, interval: [0.826, 0.945] } },
    });
    assert.deepEqual([onTest.headline.label, onTest.headline.value, onTest.headline.unit], ['Test accuracy', '.900', '[.826–.945]']);
    assert.equal(onTest.headline.detail, '90 of 100 right, weights of epoch 10');
    assert.equal(onTest.best?.epoch, 10);
  });

  test('a number that is missing is a dash, and its doubt goes with it', () => {
    const { headline, throughput, memory, best } = view(snapshot({ state: 'starting', epochs: 0 }));
    assert.deepEqual([headline.value, headline.unit, throughput.value, memory.value, best], ['–', '', '–', '–', undefined]);
    const { throughput: speed, memory: peak } = view(snapshot());
    assert.deepEqual([speed.value, speed.unit, peak.value, peak.unit], ['139', 'img/s', '1.9', 'GiB']);
  });

  test('the memory of a GPU is not the whole of which the trainer\'s is a part', () => {
    const run = snapshot();
    assert.equal(view(run).memory.detail, 'main memory, trainer');
    const environment = { ...run.record.environment!, device: { kind: 'cpu' as const, name: 'CPU (2 threads)', memoryBytes: 16 * 1024 ** 3, reason: 'no GPU' } };
    assert.equal(view({ ...run, record: { ...run.record, environment } }).memory.detail, 'of 16.0 GiB');
    assert.equal(view({ ...run, record: { ...run.record, environment } }).deviceReason, 'no GPU');
  });

  test('a GPU that was sampled shows its memory and how busy it is, now or over the run', () => {
    const last = { type: 'gpu' as const, time: 1, utilization: 0.87, usedBytes: 6 * 1024 ** 3, totalBytes: 24 * 1024 ** 3 };
    const gpu = { last, peakBytes: 9 * 1024 ** 3, meanUtilization: 0.724 };
    assert.deepEqual(view({ ...snapshot(), gpu }).memory, { label: 'GPU memory', value: '6.0', unit: 'GiB', detail: 'of 24.0 GiB, 87% busy' });
    assert.deepEqual(view({ ...snapshot({ state: 'finished', epochs: 15 }), gpu }).memory, { label: 'Peak GPU memory', value: '9.0', unit: 'GiB', detail: 'of 24.0 GiB, on average 72% busy' });
    const { utilization: _none, ...untold } = last;
    assert.equal(view({ ...snapshot(), gpu: { last: untold, peakBytes: 1 } }).memory.detail, 'of 24.0 GiB');
  });

  test('the log line is the newest of epoch and phase', () => {
    assert.equal(view(snapshot()).log, '12:04:26  epoch 11  val .948  train .934  loss 0.211  2.4 s');
    assert.equal(view(snapshot({ epochs: 0, snapshot: { phase: phase('loading', 'Loading TensorFlow') } })).log, '12:03:59  Loading TensorFlow');
  });
});

describe('a comparison in words', () => {
  const freeze = snapshot({ strategy: 'freeze', state: 'finished', epochs: 15 });
  const finetune = snapshot({ state: 'finished', epochs: 15 });

  test('marks differ among runs of a strategy, by age', () => {
    const older = { ...freeze, record: { ...freeze.record, id: 'a', createdAt: '2026-11-24T10:00:00.000Z' } };
    const newer = { ...freeze, record: { ...freeze.record, id: 'b', createdAt: '2026-11-24T11:00:00.000Z' } };
    const marks = comparedRuns([newer, finetune, older]).map(({ mark }) => `${mark.fill} ${mark.shape}`);
    assert.deepEqual(marks, ['hollow circle', 'solid diamond', 'solid circle']);
    const gray = { ...older, directory: '/c', record: { ...older.record, id: 'c', createdAt: '2026-11-24T10:30:00.000Z', configuration: { ...older.record.configuration, colour: 'gray' as const } } };
    const scratch = snapshot({ strategy: 'scratch', state: 'finished', epochs: 15 });
    assert.deepEqual(comparedRuns([newer, older, gray, scratch]).map(({ mark }) => `${mark.fill} ${mark.shape}`), ['dotted circle', 'solid circle', 'hollow circle', 'solid square']);
    assert.deepEqual(marksOf([gray, gray, gray, gray, gray, older].map(({ record }) => record.configuration)).map(({ fill }) => fill), ['hollow', 'dotted', 'crossed', 'solid', 'hollow', 'solid']);
    assert.deepEqual([dashOf(gray.record.configuration), dashOf(older.record.configuration)], [[7, 4], undefined]);
    assert.equal(new Set(comparedRuns([newer, finetune, older]).map(({ label }) => label)).size, 3);
  });

  test('a comparison is named after the one thing that its runs differ in', () => {
    const gray = (run: typeof freeze): typeof freeze => ({ ...run, directory: `${run.directory}-gray`, record: { ...run.record, configuration: { ...run.record.configuration, colour: 'gray' } } });
    assert.equal(comparisonTitle(comparedRuns([freeze, finetune])), 'Freeze or finetune');
    assert.equal(comparisonTitle(comparedRuns([gray(freeze), gray(finetune)])), 'Freeze or finetune');
    assert.equal(comparisonTitle(comparedRuns([freeze, gray(freeze)])), 'Colour or gray');
    assert.equal(comparisonTitle(comparedRuns([freeze, gray(finetune)])), 'Runs compared');
    assert.equal(comparisonTitle(comparedRuns([freeze, snapshot({ strategy: 'scratch', state: 'finished', epochs: 15 })])), 'Pretrained or from scratch');
    assert.equal(runView(gray(freeze), { now: 0, stopping: false, timeOfDay: String }).strategyName, 'freeze gray');
    assert.deepEqual(comparedRuns([freeze, gray(freeze)]).map(({ label }) => label), ['freeze', 'freeze gray']);
  });

  test('a run that goes on is compared so far', () => {
    const [run] = comparedRuns([stepAfter(snapshot())]);
    assert.deepEqual([run?.label, run?.accuracy, run?.live], ['finetune, so far', 146 / 153, true]);
  });

  test('pairs say who is better only below .05, and why there is no test', () => {
    const runs = comparedRuns([freeze, finetune]);
    const pair = { first: freeze.directory, second: finetune.directory, images: 153, bothRight: 137, onlyFirstRight: 10, onlySecondRight: 1, bothWrong: 5, p: 0.0117, pHolm: 0.047 };
    const pairsOf = (...pairs: Parameters<typeof comparedPairs>[0]['pairs'][number][]) => comparedPairs({ runs: [freeze, finetune], pairs, verdict: { title: '', body: [] } }, runs);
    const [better, worse, level, untested] = pairsOf(
      pair, { ...pair, onlyFirstRight: 1, onlySecondRight: 10 }, { ...pair, pHolm: 0.05 }, { first: freeze.directory, second: finetune.directory, reason: 'Other images.' },
    );
    assert.deepEqual([better?.label, better?.difference, better?.p, better?.verdict], ['freeze against finetune', '+.059', '.047', 'Freeze is better']);
    assert.deepEqual([worse?.difference, worse?.verdict], ['−.059', 'Finetune is better']);
    assert.deepEqual([level?.verdict, level?.significant], ['No detectable difference', false]);
    assert.deepEqual([untested?.p, untested?.verdict], ['–', 'No test. Other images.']);
    assert.equal(pairsOf({ ...pair, pHolm: 0.0001 })[0]?.p, '< .001');
  });

  test('what runs have in common is said, and where they differ', () => {
    assert.deepEqual(comparisonFacts(comparedRuns([freeze, finetune])), {
      device: 'NVIDIA RTX 4090, 24 GiB', facts: ['EfficientNet-Lite0, 15 epochs, seed 42', 'same 153 validation images in every run'],
    });
    const other = snapshot({ state: 'finished', epochs: 15, seed: 1, data: { ...DATA, fingerprint: 'ee'.repeat(32) } });
    assert.deepEqual(comparisonFacts(comparedRuns([freeze, other])).facts, ['EfficientNet-Lite0, 15 epochs, different seeds', 'the runs were scored on different splits']);
  });
});

describe('drawing', () => {
  test('happens at once, then at most once an interval, and never loses the last', () => {
    let now = 0;
    let drawn = 0;
    const timers: { at: number; callback: () => void }[] = [];
    const draw = throttle(() => { drawn += 1; }, { now: () => now, setTimeout: (callback, wait) => timers.push({ at: now + wait, callback }) }, 250);
    draw();
    assert.equal(drawn, 1);
    for (now = 10; now < 250; now += 10) draw();
    assert.deepEqual([drawn, timers.map(({ at }) => at)], [1, [250]]);
    now = 250;
    timers[0]?.callback();
    assert.equal(drawn, 2);
    now = 700;
    draw();
    assert.deepEqual([drawn, timers.length], [3, 1]);
  });
});

describe('messages from the host', () => {
  test('pass when they have the shape of the protocol', () => {
    for (const message of [
      { type: 'run', run: undefined, now: 1 }, { type: 'run', run: snapshot(), now: 1, note: 'x' }, { type: 'run', run: { directory: '/r', id: 'r', reason: 'gone' }, now: 1 },
      { type: 'comparison', comparison: undefined, reason: 'none' }, { type: 'comparison', comparison: { runs: [snapshot()], pairs: [], verdict: { title: 't', body: [] } } },
      { type: 'show', tab: 'compare' }, { type: 'show', tab: 'study' }, { type: 'study', study: makeStudySnapshot(), samples: [{ dataset: 0, thumbnail: '' }] }, { type: 'study', study: undefined, samples: [] },
      { type: 'stopFailed', directory: '/w/.thaw/runs/x' },
    ]) assert.equal(parseHostMessage(message), message);
  });

  test('are refused when they have not', () => {
    const run = snapshot();
    for (const message of [
      undefined, null, 5, 'run', [], {}, { type: 'other' }, { type: 'run', run: {}, now: 1 }, { type: 'run', run, now: '1' }, { type: 'run', run: { ...run, epochs: {} }, now: 1 },
      { type: 'run', run: { ...run, epochs: [{ ...epochEvents('freeze', 1)[0], train: 1 }] }, now: 1 }, { type: 'show', tab: 'data' },
      { type: 'study', study: { directory: '/s', record: {} }, samples: [] }, { type: 'study', study: undefined }, { type: 'comparison', comparison: { runs: [{}], pairs: [], verdict: { title: '', body: [] } } }, { type: 'comparison', comparison: { runs: [], pairs: [] } },
      { type: 'stopFailed' },
    ]) assert.equal(parseHostMessage(message), undefined, JSON.stringify(message));
  });
});

test('a study\'s table is drawn anew for another study of the same shape, and when its datasets have been read', () => {
  const key = (study: StudySnapshot): string => tableKey(study, studyRows(study, WORDS), []);
  const study = makeStudySnapshot({ name: 'pets' });
  assert.equal(key(study), key(makeStudySnapshot({ name: 'pets' })));
  assert.notEqual(key(study), key(makeStudySnapshot({ name: 'birds' })));
  assert.notEqual(key(study), key({ ...study, datasets: [undefined, undefined] }));
  assert.notEqual(key(study), key({ ...study, directory: '/pictures/.thaw/studies/study-2' }));
  const { plan } = study.record;
  assert.notEqual(key(study), key({ ...study, record: { ...study.record, plan: { ...plan, backbones: ['resnet18'] } } }));
});
