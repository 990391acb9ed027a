// A study for real: small, over strategies, colours and seeds; killed, stopped and resumed; with a dataset that can't be trained on.
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { wilsonInterval } from '../../src/metrics/intervals.js';
import { mcnemarExact } from '../../src/metrics/significance.js';
import { runRecordSchema, type RunRecord } from '../../src/protocol/run.js';
import { studyRecordSchema, type StudyRecord } from '../../src/protocol/study.js';
import { readPredictions } from '../../src/runs/readRun.js';
import { cacheFolder } from '../../src/storage/folders.js';
import { EMOJI, jsonLines, startThaw, temporaryFolder, thaw } from './thaw.js';

interface Cell { dataset: string; strategy: string; colour: string; mean: number | null; interval: [number, number] | null; intervalBy: string; seeds: number; seconds: number | null; accuracies: number[]; cached?: boolean }
interface Result { type: string; study: string; state: string; cells: Cell[]; seeds: number; failures: { dataset: string; failure: { message: string } }[]; estimate: number; seconds: number }

let engine = '';
before(() => { engine = cacheFolder(); });

/** A THAW_HOME whose cache is empty, so that what is found there is known. */
function freshHome(folder: string): NodeJS.ProcessEnv {
  const home = path.join(folder, 'home');
  mkdirSync(home);
  for (const name of ['runtimes', 'weights']) symlinkSync(path.join(engine, name), path.join(home, name));
  return { THAW_HOME: home };
}

/** Two kinds of emoji, with a training and a validation folder. */
function smallDataset(folder: string, train = 16, val = 12): string {
  const [first, second] = readdirSync(path.join(EMOJI, 'train')).sort();
  for (const kind of [first ?? '', second ?? '']) {
    for (const [split, count] of [['train', train], ['val', val]] as const) {
      const to = path.join(folder, split, kind);
      mkdirSync(to, { recursive: true });
      for (const name of readdirSync(path.join(EMOJI, split, kind)).sort().slice(0, count)) copyFileSync(path.join(EMOJI, split, kind, name), path.join(to, name));
    }
  }
  return folder;
}

function setUp(context: TestContext): { folder: string; dataset: string; environment: NodeJS.ProcessEnv } {
  const folder = temporaryFolder(context);
  return { folder, dataset: smallDataset(path.join(folder, 'pictures')), environment: freshHome(folder) };
}

function studyRecord(directory: string): StudyRecord {
  return v.parse(studyRecordSchema, JSON.parse(readFileSync(path.join(directory, 'study.json'), 'utf8')));
}

function runRecord(directory: string): RunRecord {
  return v.parse(runRecordSchema, JSON.parse(readFileSync(path.join(directory, 'run.json'), 'utf8')));
}

function resultOf(stdout: string): Result {
  const last = jsonLines(stdout).at(-1);
  assert.equal(last?.['type'], 'result');
  return last as unknown as Result;
}

test('a study that is killed goes on where it was, and computes each colour\'s features once', async (context) => {
  const { folder, dataset, environment } = setUp(context);
  const args = ['study', dataset, '--seeds', '1', '--recipe', 'fast', '--json'];
  const first = startThaw(args, environment);
  await first.lineWhere((line) => line['type'] === 'cell');
  const second = await first.lineWhere((line) => line['type'] === 'run' && line['index'] === 1);
  await first.lineWhere((line) => line['type'] === 'step' && line['run'] === path.basename(String(second['run']))); // in its very midst
  first.child.kill('SIGKILL');
  await first.ended;

  const runs = path.join(folder, '.thaw', 'runs');
  const [kept] = readdirSync(runs).filter((name) => runRecord(path.join(runs, name)).state === 'finished');
  assert.ok(kept !== undefined);
  const keptRecord = readFileSync(path.join(runs, kept, 'run.json'), 'utf8');
  const killed = path.basename(String(second['run']));
  assert.equal(runRecord(path.join(runs, killed)).state, 'running');

  const resumed = await thaw(args, environment);
  assert.equal(resumed.code, 0, resumed.stderr);
  const lines = jsonLines(resumed.stdout);
  assert.deepEqual([lines[0]?.['type'], lines[0]?.['resumed']], ['study', true]);
  assert.equal(lines.filter(({ type }) => type === 'run').length, 3, 'the finished run is not trained again');
  assert.equal(readFileSync(path.join(runs, kept, 'run.json'), 'utf8'), keptRecord);
  const result = resultOf(resumed.stdout);
  assert.equal(result.state, 'finished');
  assert.deepEqual(result.cells.map(({ strategy, colour }) => `${strategy} ${colour}`), ['freeze rgb', 'finetune rgb', 'freeze gray', 'finetune gray']);

  const record = studyRecord(result.study);
  const records = new Map(record.runs.map((run) => [`${run.strategy} ${run.colour}`, runRecord(path.join(runs, run.run ?? ''))]));
  assert.equal(record.runs.some(({ run }) => run === killed), false);
  assert.equal(readdirSync(runs).length, 5, 'four runs, and the killed one as it was');
  for (const { strategy, colour, mean, interval, intervalBy, seeds, seconds } of result.cells) {
    const run = records.get(`${strategy} ${colour}`);
    assert.ok(run?.result);
    assert.deepEqual([run.configuration.strategy, run.configuration.colour, run.configuration.recipe.name], [strategy, colour, 'fast']);
    assert.equal(mean, run.result.accuracy);
    assert.deepEqual(interval, wilsonInterval(run.result.correct, run.result.total));
    assert.deepEqual([intervalBy, seeds], ['wilson', 1]);
    assert.ok(seconds !== null && seconds > 0);
  }
  // The first run of a colour computes, the other finds; pixels are decoded once for both colours.
  for (const colour of ['rgb', 'gray']) {
    assert.equal(records.get(`freeze ${colour}`)?.result?.imagesPerSecondOf, 'features');
    assert.deepEqual(['freeze', 'finetune'].map((strategy) => records.get(`${strategy} ${colour}`)?.result?.featuresComputed), [56, 0]);
    const finetune = record.runs.find((run) => run.strategy === 'finetune' && run.colour === colour)?.run ?? '';
    const features = readFileSync(path.join(runs, finetune, 'events.ndjson'), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line) as { phase?: string; done?: number; total?: number })
      .filter(({ phase }) => phase === 'features');
    assert.ok(features.every(({ done, total }) => done === total), 'all were in the cache at once');
  }

  // One seed: the tests are McNemar's, from the stored predictions.
  const right = async (name: string): Promise<boolean[]> => (await readPredictions(path.join(runs, record.runs.find((run) => `${run.strategy} ${run.colour}` === name)?.run ?? ''))).map(({ truth, predicted }) => truth === predicted);
  const [colour, gray] = await Promise.all([right('freeze rgb'), right('freeze gray')]);
  const only = (a: boolean[], b: boolean[]): number => a.filter((value, image) => value && b[image] === false).length;
  const pair = record.pairs.find(({ contrast, first: side }) => contrast === 'colour' && side.strategy === 'freeze');
  assert.ok(pair !== undefined && 'p' in pair);
  assert.equal(pair.p, mcnemarExact(only(colour, gray), only(gray, colour)));
  assert.equal(pair.images, 24);

  // Finished: the same command computes nothing, and another format is written from what is there.
  const html = path.join(folder, 'study.html');
  const again = await thaw([...args, '--export', 'html', '--out', html, '--compare-with', 'reference'], environment);
  assert.equal(jsonLines(again.stdout).filter(({ type }) => type === 'run').length, 0);
  assert.deepEqual(resultOf(again.stdout).cells, result.cells.map((cell) => ({ ...cell, reference: null })));
  assert.match(readFileSync(html, 'utf8'), /<polyline class="freeze gray"/);
  const shown = await thaw(['study', result.study, '--export', 'csv', '--out', path.join(folder, 'study.csv')], environment);
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stdout, /\| pictures \(32 train, 24 val, 2 classes\) \|/);
  assert.equal(readFileSync(path.join(folder, 'study.csv'), 'utf8').split('\r\n').length, 1 + 4 + 1);
});

test('Ctrl-C stops a study cleanly, and the same command finishes it: intervals over three seeds', async (context) => {
  const { folder, dataset, environment } = setUp(context);
  const args = ['study', dataset, '--strategies', 'freeze', '--seeds', '3', '--json'];
  const first = startThaw(args, environment);
  await first.lineWhere((line) => line['type'] === 'run' && line['index'] === 2);
  first.child.kill('SIGINT');
  const stopped = await first.ended;
  assert.equal(stopped.code, 130, stopped.stderr);
  assert.equal(resultOf(stopped.stdout).state, 'stopped');
  const resumed = await thaw(args, environment);
  assert.equal(resumed.code, 0, resumed.stderr);
  const { cells, study } = resultOf(resumed.stdout);
  const runs = path.join(folder, '.thaw', 'runs');
  for (const { colour, mean, interval, intervalBy, seeds, accuracies } of cells) {
    const own = studyRecord(study).runs.filter((run) => run.colour === colour).map(({ run }) => runRecord(path.join(runs, run ?? '')));
    assert.deepEqual(own.map(({ configuration }) => configuration.seed), [0, 1, 2]);
    assert.deepEqual(accuracies, own.map(({ result }) => result?.accuracy));
    assert.equal(mean, accuracies.reduce((sum, value) => sum + value, 0) / 3);
    assert.deepEqual([intervalBy, seeds], [accuracies.every((accuracy) => accuracy === 1) ? 'wilson' : 'bootstrap', 3]);
    assert.ok(interval !== null && interval[0] <= mean && mean <= interval[1]);
  }

  // With another seed only that one is trained; on other images all of them.
  const more = ['study', dataset, '--strategies', 'freeze', '--seeds', '4', '--json'];
  const trained = async (): Promise<{ of: Record<string, unknown>[]; lines: Record<string, unknown>[] }> => {
    const outcome = await thaw(more, environment);
    assert.equal(outcome.code, 0, outcome.stderr);
    const lines = jsonLines(outcome.stdout);
    return { of: lines.filter(({ type }) => type === 'run'), lines };
  };
  const extended = await trained();
  assert.equal(extended.lines.find(({ type }) => type === 'taken-up')?.['runs'], 6);
  assert.deepEqual(extended.of.map(({ seed, colour: of }) => [seed, of]), [[3, 'rgb'], [3, 'gray']]);
  assert.equal((await trained()).of.length, 0);
  const [kind = ''] = readdirSync(path.join(dataset, 'train'));
  const [image = ''] = readdirSync(path.join(dataset, 'train', kind));
  rmSync(path.join(dataset, 'train', kind, image));
  assert.equal((await trained()).of.length, 8);
});

test('Ctrl-C ends a study\'s look at its images, and one that had finished stays so', async (context) => {
  const { dataset, environment } = setUp(context);
  const args = (seeds: number): string[] => ['study', dataset, '--strategies', 'freeze', '--colour', 'rgb', '--seeds', String(seeds), '--json'];
  const first = await thaw(args(1), environment);
  assert.equal(first.code, 0, first.stderr);
  const [kind = ''] = readdirSync(path.join(dataset, 'train'));
  for (let index = 0; index < 80; index++) { // 20 GB to hash that take no place
    const file = path.join(dataset, 'train', kind, `${String(index)}.jpg`);
    writeFileSync(file, '');
    truncateSync(file, 250 * 2 ** 20);
  }
  for (const [seeds, state] of [[1, 'finished'], [2, 'stopped']] as const) { // the second takes up the first's run, and asks what it saw
    const running = startThaw(args(seeds), environment);
    const { study } = await running.lineWhere(({ type }) => type === 'study');
    await delay(1500);
    running.child.kill('SIGINT');
    const ended = await running.ended;
    assert.equal(ended.code, 130, ended.stdout + ended.stderr);
    assert.equal(studyRecord(String(study)).state, state);
    if (state === 'finished') assert.equal(resultOf(ended.stdout).cells.length, 1);
  }
});

test('a dataset that can\'t be trained on fails alone; time trims seeds first, and --runs keeps everything in one folder', async (context) => {
  const { folder, dataset, environment } = setUp(context);
  const broken = path.join(folder, 'broken');
  for (const kind of ['a', 'b']) {
    mkdirSync(path.join(broken, kind), { recursive: true });
    for (let i = 0; i < 6; i++) writeFileSync(path.join(broken, kind, `${String(i)}.png`), `not an image ${kind} ${String(i)}`);
  }
  const runs = path.join(folder, 'all runs');
  const outcome = await thaw(['study', broken, dataset, '--strategies', 'freeze', '--colour', 'rgb', '--seeds', '100', '--minutes', '0.25', '--runs', runs, '--json'], environment);
  assert.equal(outcome.code, 1, outcome.stderr);
  const lines = jsonLines(outcome.stdout);
  const trimmed = lines.find(({ type }) => type === 'trimmed');
  assert.ok(Number(trimmed?.['seeds']) < 100 && Number(trimmed?.['of']) === 100 && trimmed?.['minutes'] === 0.25, JSON.stringify(trimmed));
  const { cells, failures, state, study } = resultOf(outcome.stdout);
  assert.equal(state, 'finished');
  assert.deepEqual(cells.map((cell) => [cell.dataset, cell.mean === null]), [['broken', true], ['pictures', false]]);
  assert.ok(failures.length > 0 && failures.every((failure) => failure.dataset === 'broken' && failure.failure.message.length > 20), JSON.stringify(failures[0]));
  assert.ok(study.startsWith(path.join(runs, '.studies')));
  assert.equal(existsSync(path.join(folder, '.thaw')), false);
  const listed = await thaw(['runs', runs, '--json'], environment);
  assert.ok((JSON.parse(listed.stdout) as { state: string }[]).every(({ state: one }) => one !== 'unreadable'));
});

test('what is wrong with the arguments is said before anything is made', async (context) => {
  const { folder, dataset, environment } = setUp(context);
  const empty = path.join(folder, 'empty folder');
  mkdirSync(empty);
  const cases: [string[], number, RegExp][] = [
    [[dataset, '--strategies', 'melt'], 2, /--strategies "melt" is unknown/],
    [[dataset, '--colour', 'sepia'], 2, /--colour "sepia" is unknown/],
    [[dataset, '--minutes', '0'], 2, /--minutes "0" is not a number above 0/],
    [[dataset, empty], 2, /class/],
    [[dataset, '--export', 'html'], 2, /--export and --out belong together/],
    [[dataset, '--compare-with', 'luck'], 2, /Use --compare-with reference/],
    [[path.join(folder, 'nowhere')], 2, /There is no folder/],
    [[], 2, /FOLDER is missing/],
  ];
  for (const [args, code, message] of cases) {
    const outcome = await thaw(['study', ...args], environment);
    assert.equal(outcome.code, code, `${args.join(' ')}: ${outcome.stdout}${outcome.stderr}`);
    assert.match(outcome.stderr, message);
  }
  assert.equal(existsSync(path.join(folder, '.thaw')), false);
  const missing = await thaw(['study', dataset, '--backbones', 'efficientnet_lite0', '--seeds', '1'], { THAW_HOME: path.join(folder, 'empty') });
  assert.equal(missing.code, 3, missing.stderr);
});
