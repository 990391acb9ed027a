// Words that the editor shows: names from disk stay text, rows and notifications say what the design says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EpochEvent } from '../../src/protocol/events.js';
import type { RunRecord, RunResult } from '../../src/protocol/run.js';
import type { RunSnapshot } from '../../src/protocol/snapshot.js';
import { panelHtml } from '../../src/extension/panelHtml.js';
import { plainName, plainText, sentences } from '../../src/extension/plainText.js';
import { RunEndings } from '../../src/extension/runEndings.js';
import { endingOf, groupRuns, progressText, runRow, statusOf } from '../../src/extension/runLabels.js';
import { settingVariables } from '../../src/extension/settings.js';
import { describeSetUp } from '../../src/extension/setUpReport.js';
import { STRATEGIES } from '../../src/protocol/run.js';
import { estimateText, questionBefore, roughTime, strategyChoices, type Estimate } from '../../src/extension/trainingPlan.js';
import { weightsRow } from '../../src/extension/weightsRows.js';
import { defaultRecipe } from '../../src/training/recipes.js';
import { parseTranslations } from '../../src/webview/words.js';

const l10n = { t: (message: string, ...values: (string | number)[]): string => message.replaceAll(/\{(\d+)\}/g, (_, index: string) => String(values[Number(index)])) };

function record(change: Partial<RunRecord> = {}): RunRecord {
  return {
    schemaVersion: 1, id: '20260101-000000-finetune-abcdef', createdAt: '2026-01-01T00:00:00.000Z', state: 'running',
    dataset: { name: 'hymenoptera', path: 'data/hymenoptera' },
    configuration: { strategy: 'finetune', backbone: 'efficientnet_lite0', colour: 'rgb', seed: 0, splitSeed: 0, recipe: defaultRecipe('finetune', 'efficientnet_lite0', { epochs: 8 }) },
    ...change,
  };
}

function epoch(number: number, correct: number): EpochEvent {
  const score = { accuracy: correct / 153, loss: 0.2, correct, total: 153 };
  return {
    type: 'epoch', time: 1000 * number, epoch: number, epochs: 8, train: score, validation: score, interval: [0.909, 0.978], seconds: 1, imagesPerSecond: 50,
    learningRate: 0.001, memoryBytes: 1, tensors: 1,
  };
}

const result: RunResult = {
  accuracy: 146 / 153, correct: 146, total: 153, interval: [0.909, 0.978], accuracySplit: 'validation', bestEpoch: 2, epochs: 8, seconds: 6.2, imagesPerSecond: 50,
  imagesPerSecondOf: 'training', validation: { accuracy: 146 / 153, correct: 146, total: 153, interval: [0.909, 0.978], loss: 0.2 },
  parameters: { total: 3, trained: 3 }, peakMemoryBytes: 1,
};

function run(change: Partial<RunSnapshot> = {}): RunSnapshot {
  return { directory: '/w/.thaw/runs/a', record: record(), state: 'running', epochs: [], damagedLines: 0, ...change };
}

const finished = run({ directory: '/w/.thaw/runs/finished', state: 'finished', record: record({ state: 'finished', result }), epochs: [epoch(1, 140), epoch(2, 146)], best: 1 });

test('a finished run reads as the number, its count and its time', () => {
  const row = runRow(finished, l10n);
  assert.equal(row.label, 'finetune');
  assert.equal(row.description, '.954 (146/153) · 0:06');
  assert.equal(row.icon, 'pass');
  assert.match(row.tooltip, /\.954 \[\.909–\.978\], 146 of 153 right, on the validation images/);
  assert.equal(row.accessibleLabel, 'finetune, finished, accuracy .954, 95% interval .909 to .978, 146 of 153 right, 0:06');
  assert.equal(row.contextValue, 'run ended epochs model');
});

test('a run on gray images says so', () => {
  const gray = run({ ...finished, record: { ...finished.record, configuration: { ...finished.record.configuration, colour: 'gray' } } });
  const row = runRow(gray, l10n);
  assert.equal(row.label, 'finetune gray');
  assert.match(row.accessibleLabel, /^finetune gray, finished/);
  assert.match(endingOf(gray, l10n).text, /^finetune gray on hymenoptera: /);
});

test('a live run shows its progress, and its best number with the count', () => {
  const step = { type: 'step', time: 9, epoch: 3, step: 2, steps: 15, loss: 0.3, imagesPerSecond: 50 } as const;
  assert.equal(runRow(run(), l10n).description, 'starting');
  assert.equal(progressText(run({ phase: { type: 'phase', time: 1, phase: 'training', message: '' } }), l10n), 'epoch 1 of 8');
  const live = run({ epochs: [epoch(1, 140), epoch(2, 146)], best: 1, step });
  assert.equal(runRow(live, l10n).description, '.954 (146/153) · epoch 3 of 8');
  assert.equal(runRow(live, l10n).contextValue, 'run live epochs');
  assert.equal(progressText(run({ phase: { type: 'phase', time: 1, phase: 'features', message: '', done: 120, total: 244 } }), l10n), 'features, 120 of 244');
});

test('a waiting run shows its place in line', () => {
  const waiting = run({ state: 'waiting', phase: { type: 'phase', time: 1, phase: 'waiting', message: 'x', done: 0, total: 1 } });
  assert.equal(runRow(waiting, l10n).description, 'waiting, 1 ahead');
  assert.equal(runRow(run({ state: 'waiting' }), l10n).description, 'waiting');
  const scanning = { type: 'phase', time: 1, phase: 'scanning', message: '' } as const;
  assert.equal(progressText(run({ state: 'waiting', phase: scanning }), l10n), 'reading the folder');
  assert.equal(progressText(run({ phase: { ...scanning, done: 3, total: 9 } }), l10n), 'reading images, 3 of 9');
});

test('runs that ended badly say where, and what to do', () => {
  const failure = { code: 'too-few-classes', message: 'hymenoptera has 1 class', next: 'Add another folder of images' };
  const failed = run({ state: 'failed', record: record({ state: 'failed', failure }) });
  assert.equal(runRow(failed, l10n).description, 'hymenoptera has 1 class');
  assert.deepEqual(endingOf(failed, l10n), { severity: 'error', text: 'finetune on hymenoptera failed: hymenoptera has 1 class. Add another folder of images.' });
  const interrupted = run({ state: 'interrupted', epochs: [epoch(1, 140)], best: 0 });
  assert.equal(runRow(interrupted, l10n).description, '.915 (140/153) · interrupted at epoch 1 of 8');
  assert.equal(runRow({ directory: '/w/.thaw/runs/b', id: 'b', reason: 'run.json is not JSON' }, l10n).description, 'run.json is not JSON');
});

test('the notification at the end carries the interval and the count', () => {
  assert.deepEqual(endingOf(finished, l10n), { severity: 'information', text: 'finetune on hymenoptera: .954 [.909–.978], 146 of 153 right' });
  assert.equal(endingOf(run({ state: 'stopped' }), l10n).text, 'finetune on hymenoptera stopped before its first epoch ended.');
});

test('the status bar shows the epoch and never an accuracy', () => {
  assert.equal(statusOf([finished], l10n), undefined);
  const live = run({ directory: '/w/.thaw/runs/c', epochs: [epoch(1, 140)], best: 0 });
  const waiting = run({ directory: '/w/.thaw/runs/d', state: 'waiting', record: record({ createdAt: '2026-01-01T00:00:01.000Z' }) });
  const status = statusOf([finished, waiting, live], l10n);
  assert.ok(status);
  assert.equal(status.text, 'Thaw: epoch 1 of 8, 1 more');
  assert.equal(status.run.directory, live.directory);
  assert.doesNotMatch(status.text + status.tooltip, /\.\d/);
});

test('an end is told once, and only of a run seen alive here', () => {
  const endings = new RunEndings();
  assert.deepEqual(endings.update([finished]), []);
  const live = run();
  assert.deepEqual(endings.update([finished, live]), []);
  const over = run({ state: 'stopped' });
  assert.deepEqual(endings.update([finished, over]), [over]);
  assert.deepEqual(endings.update([finished, over]), []);
  endings.expect('/w/.thaw/runs/fast');
  const fast = run({ directory: '/w/.thaw/runs/fast', state: 'finished' });
  assert.deepEqual(endings.update([fast]), [fast]);
});

test('runs are grouped by dataset and workspace folder, newest first, unreadable last', () => {
  const make = (directory: string, createdAt: string, path: string): RunSnapshot => run({ directory, state: 'finished', record: record({ createdAt, dataset: { name: path, path } }) });
  const old = make('/w/.thaw/runs/1', '2026-01-01T00:00:00Z', 'ants');
  const middle = make('/w/.thaw/runs/2', '2026-01-02T00:00:00Z', 'bees');
  const fresh = make('/w/.thaw/runs/3', '2026-01-03T00:00:00Z', 'ants');
  const elsewhere = make('/v/.thaw/runs/4', '2026-01-01T12:00:00Z', 'ants');
  const broken = { directory: '/w/.thaw/runs/0', id: '0', reason: 'torn' };
  const groups = groupRuns([broken, old, elsewhere, middle, fresh], (directory) => directory.slice(0, 2));
  assert.deepEqual(groups.map(({ name, runs }) => [name, runs.map(({ directory }) => directory)]), [
    ['ants', [fresh.directory, old.directory]], ['bees', [middle.directory]], ['ants', [elsewhere.directory]], [undefined, [broken.directory]],
  ]);
});

test('names from disk are text: no link, no icon, no control character', () => {
  assert.equal(plainName('[click](command:workbench.action.terminal.new)'), '[click] (command:workbench.action.terminal.new)');
  assert.equal(plainName('$(trash) ants'), '$ (trash) ants');
  assert.equal(plainName('a\nb\u202Ec\u0007'), 'a b c ');
  assert.equal(plainName('<img src=x onerror=alert(1)>'), '<img src=x onerror=alert(1)>');
  assert.equal(plainText('x'.repeat(500)).length, 300);
  assert.equal(sentences('It broke', 'Mend it.', ''), 'It broke. Mend it.');
  const hostile = run({ state: 'finished', record: record({ state: 'finished', result, dataset: { name: '[x](command:y)', path: 'x' } }) });
  assert.doesNotMatch(endingOf(hostile, l10n).text, /\]\(/);
});

test('the strategies come with when to choose them and how long they take', () => {
  const estimate: Estimate = { freeze: { seconds: 21 }, finetune: { seconds: 12.2 * 60 }, scratch: { seconds: 2.1 * 3600 }, device: 'CPU (2 threads)' };
  assert.deepEqual(strategyChoices(STRATEGIES, 'estimating', l10n).map(({ label, description }) => [label, description]), [['freeze', 'estimating'], ['finetune', 'estimating'], ['scratch', 'estimating']]);
  assert.deepEqual(strategyChoices(STRATEGIES, estimate, l10n).map(({ description }) => description), ['about 20 s on this CPU', 'about 12 min on this CPU', 'about 2 h on this CPU']);
  assert.ok(strategyChoices(STRATEGIES, 'unknown', l10n).every(({ description, detail }) => description === '' && detail.endsWith('.')));
  assert.deepEqual(strategyChoices(['freeze'], { freeze: { seconds: 20 }, device: 'CPU (2 threads)' }, l10n).map(({ strategy }) => strategy), ['freeze']);
  assert.equal(estimateText(20, 'NVIDIA X', l10n), 'about 20 s on this GPU');
  assert.deepEqual([1, 54, 56, 3600, 5400, 36000].map((seconds) => roughTime(seconds, l10n)), ['5 s', '55 s', '1 min', '60 min', '1.5 h', '10 h']);
});

test('a run above 30 minutes is asked about', () => {
  const estimate: Estimate = { freeze: { seconds: 1800 }, finetune: { seconds: 1801 }, scratch: { seconds: 7200 }, device: 'CPU' };
  assert.equal(questionBefore('freeze', estimate, l10n), undefined);
  assert.equal(questionBefore('finetune', estimate, l10n), 'finetune takes about 30 min on this CPU. Train all the same?');
  assert.equal(questionBefore('scratch', estimate, l10n), 'scratch takes about 2 h on this CPU. Train all the same?');
  assert.equal(questionBefore('finetune', 'unknown', l10n), undefined);
});

test('settings travel as variables, and a workspace\'s value never does', () => {
  const values: Readonly<Record<string, { globalValue?: unknown; workspaceValue?: unknown }>> = {
    device: { globalValue: 'cpu' }, runtimeFolder: { workspaceValue: '/evil' }, cacheSizeGiB: { globalValue: 2.5 }, threads: { globalValue: 0 },
  };
  assert.deepEqual(settingVariables((setting) => values[setting]?.globalValue), { THAW_DEVICE: 'cpu', THAW_CACHE_GIB: '2.5' });
});

test('the panel\'s policy allows one script by nonce and nothing inline or remote', () => {
  const html = panelHtml({ nonce: 'abc', cspSource: 'https://csp.test', script: 'https://r.test/webview.js', style: 'https://r.test/webview.css', language: 'en', words: undefined });
  const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(html)?.[1];
  assert.equal(policy, 'default-src \'none\'; script-src \'nonce-abc\'; style-src https://csp.test; font-src https://csp.test; img-src data:');
  assert.deepEqual([...html.matchAll(/<script[^>]*>/g)].map(([tag]) => tag), ['<script nonce="abc" src="https://r.test/webview.js">']);
  assert.doesNotMatch(html, / style=|<style|\son[a-z]+=/);
});

test('translations travel in the page as the value of one attribute, whatever is in them', () => {
  const words = { 'Run <b>': '"><script>alert(1)</script>&quot;', Stop: 'Anhalten' };
  const html = panelHtml({ nonce: 'abc', cspSource: 'https://csp.test', script: 'https://r.test/webview.js', style: 'https://r.test/webview.css', language: 'de', words });
  assert.equal(html.match(/<script/g)?.length, 1);
  const value = /data-words="([^"]*)"/.exec(html)?.[1] ?? '';
  assert.doesNotMatch(value, /[<>]/);
  const decoded = value.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
  assert.deepEqual(parseTranslations(decoded), words);
});

test('the doctor\'s report is a page of aligned lines', () => {
  const engine = { name: 'engine', state: 'ok', detail: 'TensorFlow 2.21.0' } as const;
  const weights = { name: 'weights', state: 'missing', detail: 'not fetched', setUpBrings: true } as const;
  assert.equal(describeSetUp({ checks: [engine, weights] }, l10n), 'Thaw set-up\n\nengine   ok       TensorFlow 2.21.0\nweights  missing  not fetched\n\nMissing: 1. Run "Thaw: Set Up Engine" from the command palette.\n');
  const gpu = { name: 'GPU', state: 'missing', detail: 'No NVIDIA GPU found. Train on the CPU' } as const;
  assert.match(describeSetUp({ checks: [engine, gpu] }, l10n), /\n\nMissing: 1\. What to do stands in its line\.\n$/);
  assert.match(describeSetUp({ checks: [weights, gpu] }, l10n), /\n\nMissing: 2\. What to do stands in its line\.\n$/);
  assert.match(describeSetUp({ checks: [engine] }, l10n), /\n\nNothing is missing\.\n$/);
});

test('weights are shown with what is here, how large, which licence and how good', () => {
  const published = {
    name: 'resnet18', title: 'ResNet18, ImageNet', backbone: 'resnet18' as const, present: false, bytes: 46_830_571, licence: 'BSD-3-Clause', source: 'https://x', own: false, classes: 1000,
    top1: { accuracy: 0.69758, source: 'torchvision' },
  };
  assert.deepEqual(weightsRow(published, l10n), {
    label: '$(cloud-download) ResNet18, ImageNet', description: 'not fetched yet', detail: '44.7 MiB, BSD-3-Clause, top-1 .698 on ImageNet',
  });
  const own = { ...published, name: 'resnet18-01234567', present: true, licence: null, source: 'my $(x) [a](command:b).pth', own: true, classes: 5, top1: null };
  assert.deepEqual(weightsRow(own, l10n), {
    label: '$(check) resnet18-01234567', description: 'on this machine', detail: '44.7 MiB, 5 classes, from my $ (x) [a] (command:b).pth',
  });
  assert.deepEqual(weightsRow({ ...own, present: false, classes: 1 }, l10n).description, 'its file is gone or has changed');
});
