// A study's plan, its folder, what its runs come to, and how that is written down.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import * as v from 'valibot';
import { twoWayBootstrap } from '../../src/metrics/bootstrap.js';
import { wilsonInterval } from '../../src/metrics/intervals.js';
import { holm, mcnemarExact, pairedT, signFlipExact } from '../../src/metrics/significance.js';
import { ThawError } from '../../src/protocol/errors.js';
import { createLocaliser, ENGLISH } from '../../src/protocol/localiser.js';
import { BACKBONES } from '../../src/protocol/run.js';
import { studyRecordSchema, type StudyPlan, type StudyRecord, type StudyRun, type StudySnapshot, type TestedStudyPair } from '../../src/protocol/study.js';
import { curveAxis, curvesOf } from '../../src/study/curves.js';
import { exportStudy, STUDY_FORMATS } from '../../src/study/export.js';
import { beyondBudget, estimatedSeconds, isOutOfTime, plannedCells, plannedRuns, secondsLeft, seedsWithin, trimmedRuns } from '../../src/study/plan.js';
import { REFERENCE, referenceAccuracy } from '../../src/study/reference.js';
import { imageAnswers, studyResults, type FinishedRun } from '../../src/study/results.js';
import { readStudySnapshot } from '../../src/study/snapshot.js';
import { distinctNames, limitStudy, startStudy } from '../../src/study/startStudy.js';
import { allDatasetsIn, createStudyFolder, newStudyId, readStudyRecord, resolveStored, stopStudy, storedPath, studiesFolderFor, StudyWriter } from '../../src/study/studyFolder.js';
import { cellTexts, studyRows } from '../../src/study/tables.js';
import { pairVerdict, speedUp, studyNotes, studyVerdicts } from '../../src/study/verdict.js';
import { runStudy } from '../../src/trainer/study.js';
import { recipeNamed } from '../../src/training/recipes.js';
import { SeededRandom } from '../../src/training/random.js';
import { lines, placeRun, temporaryFolder } from './runFixtures.js';
import { makeStudySnapshot } from '../harness/studies.js';
import { FINGERPRINT, makeEpoch, makeRecord, makeResult } from './runRecords.js';

const folder = temporaryFolder();

function makePlan(change: Partial<StudyPlan> = {}): StudyPlan {
  return {
    datasets: [{ name: 'hymenoptera', path: 'hymenoptera', runs: '.thaw/runs' }], strategies: ['freeze', 'finetune'], colours: ['rgb', 'gray'], backbones: ['efficientnet_lite0'],
    seeds: 3, splitSeed: 0, recipe: 'default',
    recipes: (['freeze', 'finetune'] as const).map((strategy) => ({ strategy, backbone: 'efficientnet_lite0', recipe: recipeNamed('default', strategy, 'efficientnet_lite0') })), ...change,
  };
}

function makeStudy(change: Partial<StudyRecord> = {}, plan = makePlan()): StudyRecord {
  return { schemaVersion: 1, id: 'study-1', createdAt: '2026-01-02T03:04:05.000Z', state: 'waiting', plan, runs: plannedRuns(plan, 'seeds last'), ...studyResults(plan, []), ...change };
}

/** A run that is right on the images whose place is in neither list: `wrong` of `images`. */
function finished(place: Partial<StudyRun>, right: readonly boolean[], change: { seconds?: number; featureSeconds?: number; cached?: boolean; fingerprint?: string } = {}): FinishedRun {
  const { seconds = 10, featureSeconds = 0, cached = false, fingerprint = FINGERPRINT } = change;
  return {
    planned: { dataset: 0, strategy: 'freeze', colour: 'rgb', backbone: 'efficientnet_lite0', seed: 0, state: 'finished', run: 'run-1', seconds, featureSeconds, ...place },
    result: makeResult(right.filter(Boolean).length, right.length, { imagesPerSecondOf: cached ? 'cached features' : 'features' }), fingerprint,
    answers: imageAnswers(new Map(right.map((value, image) => [`image ${String(image)}`, value]))),
  };
}

/** `count` images, those whose place passes are right. */
const answers = (count: number, isRight: (image: number) => boolean): boolean[] => Array.from({ length: count }, (_, image) => isRight(image));

describe('the plan of a study', () => {
  test('the whole table comes once for each seed, and runs that share features stand together', () => {
    const plan = makePlan({ seeds: 2 });
    assert.equal(plannedCells(plan).length, 4);
    const name = ({ strategy, colour, seed }: StudyRun): string => `${strategy} ${colour} ${String(seed)}`;
    assert.deepEqual(plannedRuns(plan, 'seeds last').map(name), [
      'freeze rgb 0', 'finetune rgb 0', 'freeze gray 0', 'finetune gray 0', 'freeze rgb 1', 'finetune rgb 1', 'freeze gray 1', 'finetune gray 1',
    ]);
    assert.deepEqual(plannedRuns(plan, 'features first').map(name), [
      'freeze rgb 0', 'finetune rgb 0', 'freeze rgb 1', 'finetune rgb 1', 'freeze gray 0', 'finetune gray 0', 'freeze gray 1', 'finetune gray 1',
    ]);
  });
  test('time trims seeds, and never the first', () => {
    const runs = plannedRuns(makePlan({ seeds: 5 }), 'seeds last').map((run) => ({ ...run, estimatedSeconds: 10 }));
    assert.equal(seedsWithin(1000, runs, 5), 5);
    assert.equal(seedsWithin(130, runs, 5), 3);
    assert.equal(seedsWithin(79, runs, 5), 1);
    assert.equal(seedsWithin(1, runs, 5), 1);
  });
  test('what an earlier study has trained costs this one nothing, and says nothing of its pace', () => {
    const runs = plannedRuns(makePlan({ seeds: 3 }), 'seeds last').map((run): StudyRun => (
      run.seed === 0 ? { ...run, state: 'finished', takenUp: true, seconds: 1000 } : { ...run, estimatedSeconds: 10 })); // four cells a seed
    assert.equal(seedsWithin(40, runs, 3), 2);
    assert.equal(beyondBudget(runs, 40), undefined);
    const next = runs[4]!;
    assert.equal(isOutOfTime(next, runs, 10), false);
    const begun = runs.map((run, index): StudyRun => (index === 4 ? { ...run, state: 'finished', seconds: 20 } : run)); // twice as long as was thought
    assert.equal(isOutOfTime(begun[5]!, begun, 40), false);
    assert.equal(isOutOfTime(begun[5]!, begun, 39), true);
    assert.equal(secondsLeft({ ...makeStudy({ runs: begun }, makePlan({ seeds: 3 })), estimate: { seconds: 80, device: 'CPU' } }), 140);
  });
  test('no other seed takes the time that a cell without any run needs, whatever the order', () => {
    const ran = (count: number): StudyRun[] => plannedRuns(makePlan({ seeds: 2 }), 'features first').map((run, index) => ({
      ...run, estimatedSeconds: 10, ...(index < count && { state: 'finished', seconds: 20 }), // twice as long as was thought
    }));
    const late = (runs: readonly StudyRun[], at: number, budget: number): boolean => isOutOfTime(runs[at]!, runs, budget);
    // freeze rgb 0 and finetune rgb 0 took 40 s; freeze rgb 1 would take 20, and the two in gray have no run yet.
    assert.deepEqual([late(ran(2), 2, 99), late(ran(2), 2, 100)], [true, false]);
    assert.deepEqual([late(ran(2), 4, 30), late(ran(2), 4, 40)], [true, false]);
    const table = ran(2).map((run): StudyRun => (run.seed === 0 ? { ...run, state: 'finished', seconds: 20 } : run));
    assert.deepEqual([late(table, 2, 99), late(table, 2, 100)], [true, false]);
  });
  test('what is left out has not finished, and the seeds that are said are no fewer than have', () => {
    const runs = plannedRuns(makePlan({ seeds: 5 }), 'seeds last').map((run): StudyRun => (run.seed === 0 || (run.seed < 3 && run.strategy === 'freeze') ? { ...run, state: 'finished' } : run));
    const left = (some: readonly StudyRun[]): string[] => some.filter(({ state }) => state === 'leftOut').map(({ strategy, colour, seed }) => `${strategy} ${colour} ${String(seed)}`);
    const trimmed = trimmedRuns(runs, 2, 5);
    assert.equal(trimmed.trimmedTo, 3);
    assert.equal(left(trimmed.runs).length, 2 + 4 + 4);
    assert.deepEqual(left(trimmed.runs).slice(0, 2), ['finetune rgb 2', 'finetune gray 2']);
    assert.ok(studyNotes(makeStudy({ ...trimmed, minutes: 9 }), ENGLISH).includes('2 more runs were left out for want of time.'));
    assert.deepEqual([trimmedRuns(runs, 4, 5).trimmedTo, trimmedRuns(runs, 5, 5).trimmedTo, left(trimmedRuns(runs, 5, 5).runs)], [4, undefined, []]);
    assert.equal(trimmedRuns(runs.map((run) => (run.seed === 4 && run.strategy === 'freeze' ? { ...run, state: 'finished' } : run)), 2, 5).trimmedTo, undefined);
  });
  test('an estimate is that of the runs that it is asked for', () => {
    const runs = plannedRuns(makePlan({ seeds: 1 }), 'seeds last');
    assert.equal(estimatedSeconds(runs), undefined);
    assert.equal(estimatedSeconds(runs.map((run, index) => (index < 3 ? { ...run, estimatedSeconds: 10 } : run))), 30);
  });
  test('what is left goes by how the finished runs held to their estimates', () => {
    const runs = plannedRuns(makePlan({ seeds: 1 }), 'seeds last').map((run): StudyRun => ({ ...run, estimatedSeconds: 10 }));
    assert.equal(secondsLeft(makeStudy({ runs })), undefined);
    const estimate = { seconds: 40, device: 'CPU' };
    assert.equal(secondsLeft(makeStudy({ runs, estimate })), 40);
    assert.equal(secondsLeft(makeStudy({ runs: runs.map((run, index) => (index === 0 ? { ...run, state: 'finished', seconds: 15 } : run)), estimate })), 45);
  });
});

describe('what the runs come to', () => {
  const seeds = [0, 1, 2];
  /** Right on 90 of 100, another ten for each seed; gray misses seven more. */
  const colour = seeds.map((seed) => answers(100, (image) => image % 10 !== seed));
  const gray = seeds.map((seed) => answers(100, (image) => image % 10 !== seed && !(image >= 40 && image < 60 - seed)));
  const runs = [...colour.map((right, seed) => finished({ seed }, right)), ...gray.map((right, seed) => finished({ seed, colour: 'gray' }, right))];
  const table = (rows: boolean[][]): number[][] => rows.map((row) => row.map(Number));

  test('under three seeds the interval is Wilson\'s, and from three on the bootstrap\'s', () => {
    const cellOf = (some: readonly FinishedRun[]) => studyResults(makePlan(), some).cells.find((cell) => cell.strategy === 'freeze' && cell.colour === 'rgb');
    assert.deepEqual(cellOf([])?.mean, undefined);
    assert.deepEqual([cellOf(runs.slice(0, 1))?.interval, cellOf(runs.slice(0, 1))?.intervalBy], [wilsonInterval(90, 100), 'wilson']);
    const two = [finished({ seed: 0 }, answers(100, (image) => image < 90)), finished({ seed: 1 }, answers(100, (image) => image < 80))];
    assert.deepEqual(cellOf(two)?.interval, [wilsonInterval(80, 100)[0], wilsonInterval(90, 100)[1]]);
    const three = cellOf(runs)!;
    assert.deepEqual(three.interval, twoWayBootstrap(table(colour), new SeededRandom(0, 'bootstrap')));
    assert.deepEqual([three.mean, three.intervalBy, three.seeds, three.images], [0.9, 'bootstrap', seeds, 100]);
    const perfect = cellOf(seeds.map((seed) => finished({ seed }, answers(20, () => true))))!;
    assert.deepEqual([perfect.mean, perfect.interval, perfect.intervalBy], [1, wilsonInterval(20, 20), 'wilson'], 'three seeds without an error are no certainty');
  });
  test('a difference must show over images and over seeds, and p is corrected over all pairs', () => {
    const { pairs } = studyResults(makePlan(), runs);
    assert.equal(pairs.length, 4, 'both colours of the strategies, both strategies in both colours');
    const pair = pairs.find(({ contrast, first }) => contrast === 'colour' && first.strategy === 'freeze') as TestedStudyPair;
    const differences = seeds.map((seed) => colour[seed]!.map((right, image) => Number(right) - Number(gray[seed]![image])));
    const sums = differences[0]!.map((_, image) => differences.reduce((sum, row) => sum + row[image]!, 0));
    assert.equal(pair.pImages, signFlipExact(sums));
    assert.equal(pair.pSeeds, pairedT(differences.map((row) => row.reduce((sum, value) => sum + value, 0))).p);
    assert.equal(pair.p, Math.max(pair.pImages, pair.pSeeds));
    assert.ok(pair.pImages < pair.pSeeds && pair.pSeeds > 0);
    assert.deepEqual(pair.perSeed.map(({ p }) => p), differences.map((row) => mcnemarExact(row.filter((value) => value > 0).length, 0)));
    assert.equal(pair.pHolm, holm([pair.p])[0]);
    assert.ok(pair.interval !== undefined && pair.interval[0] <= pair.difference && pair.difference <= pair.interval[1]);
    assert.equal(pairVerdict(pair, ENGLISH), 'Colour is better');
    assert.deepEqual(pairs.filter((one) => 'untested' in one).map((one) => pairVerdict(one, ENGLISH)), ['Not tested yet', 'Not tested yet', 'Not tested yet']);
  });
  test('with one or two seeds it is about these runs, and says so', () => {
    const record = makeStudy(studyResults(makePlan(), [runs[0]!, runs[3]!]));
    const pair = record.pairs.find((one): one is TestedStudyPair => 'p' in one)!;
    assert.deepEqual([pair.pSeeds, pair.interval, pair.p], [undefined, undefined, mcnemarExact(18, 0)]);
    assert.ok(studyNotes(record, ENGLISH).some((note) => note.includes('fewer than 3 seeds')));
  });
  test('a difference that one seed alone makes is none', () => {
    const lucky = seeds.map((seed) => answers(100, (image) => image % 10 !== seed && !(seed === 0 && image < 40)));
    const { pairs } = studyResults(makePlan(), [...runs.slice(0, 3), ...lucky.map((right, seed) => finished({ seed, colour: 'gray' }, right))]);
    const pair = pairs.find((one): one is TestedStudyPair => 'p' in one)!;
    assert.ok(pair.pImages < 0.001 && pair.p > 0.05, `${String(pair.pImages)} ${String(pair.p)}`);
    assert.equal(pairVerdict(pair, ENGLISH), 'No detectable difference');
  });
  test('other images, other splits and missing predictions are not tested, and each says why', () => {
    const reasonOf = (second: FinishedRun): string => pairVerdict(studyResults(makePlan(), [runs[0]!, second]).pairs.find(({ contrast }) => contrast === 'colour')!, ENGLISH);
    assert.match(reasonOf(finished({ colour: 'gray' }, gray[0]!.slice(1))), /different images/);
    assert.match(reasonOf({ ...runs[3]!, answers: undefined }), /predictions can't be read/);
    assert.match(reasonOf({ ...runs[3]!, result: { ...runs[3]!.result, accuracySplit: 'test' } }), /different images/);
  });
  test('runs that learned from other images are neither averaged nor tested together, and it is said', () => {
    const other = 'b'.repeat(64);
    const some = [...runs.slice(0, 2), finished({ seed: 2 }, colour[2]!, { fingerprint: other }), ...gray.map((right, seed) => finished({ seed, colour: 'gray' }, right, { fingerprint: other }))];
    const record = v.parse(studyRecordSchema, makeStudy(studyResults(makePlan(), some)));
    const [mixed, whole] = record.cells.filter(({ strategy }) => strategy === 'freeze');
    assert.deepEqual([mixed?.seeds, mixed?.accuracies, mixed?.mean, mixed?.interval, mixed?.seconds, mixed?.fingerprint], [seeds, [0.9, 0.9, 0.9], undefined, undefined, undefined, undefined]);
    assert.deepEqual([whole?.seeds, whole?.intervalBy, whole?.fingerprint], [seeds, 'bootstrap', other]);
    assert.equal(cellTexts(mixed!, ENGLISH).mean, 'not averaged');
    assert.equal(pairVerdict(record.pairs.find(({ contrast }) => contrast === 'colour')!, ENGLISH), 'Not tested: the runs saw different splits of the images');
    const note = 'The images changed between the runs: hymenoptera. Runs on different images are neither averaged nor tested together; a new study trains all on the same.';
    assert.ok(studyNotes(record, ENGLISH).includes(note));
    // Cells that are whole, but not on the same images, are no less a case for the note.
    const apart = [finished({}, colour[0]!), finished({ strategy: 'finetune' }, colour[0]!, { fingerprint: other })];
    assert.ok(studyNotes(makeStudy(studyResults(makePlan(), apart)), ENGLISH).includes(note));
    assert.ok(!studyNotes(makeStudy(studyResults(makePlan(), runs)), ENGLISH).includes(note));
  });
  test('times are those of a run by itself, and a cell says when its features were in the cache before', () => {
    const timed = (cached: boolean): FinishedRun[] => [
      finished({ seed: 0 }, colour[0]!, { seconds: 30, featureSeconds: 25, cached }), finished({ seed: 1 }, colour[1]!, { seconds: 6, featureSeconds: 1, cached: true }),
      finished({ seed: 0, strategy: 'finetune' }, colour[0]!, { seconds: 60, featureSeconds: 1 }),
    ];
    const [freeze, finetune] = studyResults(makePlan({ colours: ['rgb'] }), timed(false)).cells;
    assert.deepEqual([freeze?.seconds, finetune?.seconds, freeze?.cached], [30, 84, undefined]);
    assert.equal(speedUp(finetune, freeze), 2.8);
    const alone = (featuresComputed: number): FinishedRun[] => timed(false).slice(2).map((run) => ({ ...run, result: { ...run.result, imagesPerSecondOf: 'training', featuresComputed } }));
    const cachedOf = (runs: readonly FinishedRun[]): boolean | undefined => studyResults(makePlan({ colours: ['rgb'], strategies: ['finetune'] }), runs).cells[0]?.cached;
    assert.deepEqual([alone(0).length > 0, cachedOf(alone(0)), cachedOf(alone(9))], [true, true, undefined]);
    const before = [finished({ seed: 0 }, colour[0]!, { seconds: 6, featureSeconds: 1, cached: true })];
    assert.equal(studyResults(makePlan({ colours: ['rgb'], strategies: ['freeze'] }), before).cells[0]?.cached, true);
  });
  test('verdicts can be in any language', () => {
    const record = makeStudy(studyResults(makePlan(), runs));
    const german = createLocaliser({ 'Colour against gray': 'Farbe gegen Grau', 'colour is better': 'Farbe ist besser' });
    const verdict = studyVerdicts(record, german).find(({ contrast }) => contrast === 'colour');
    assert.equal(verdict?.title, 'Farbe gegen Grau');
    assert.match(verdict.text, /^Farbe ist besser: hymenoptera, freeze\./);
  });
});

describe('the folder of a study', () => {
  const request = (workspace: string) => ({
    ...makePlan(), datasets: [{ folder: path.join(workspace, 'hymenoptera'), runsFolder: path.join(workspace, '.thaw', 'runs') }],
  });
  test('the same plan is found again, another one is not, and paths move with the workspace', async () => {
    const workspace = folder.workspace();
    const studies = studiesFolderFor(path.join(workspace, '.thaw', 'runs'));
    assert.equal(studies, path.join(workspace, '.thaw', 'studies'));
    const { directory, found } = await startStudy(studies, request(workspace), { minutes: 5 });
    assert.equal(found, undefined);
    assert.equal(readFileSync(path.join(workspace, '.thaw', '.gitignore'), 'utf8'), '*\n');
    const again = await startStudy(studies, request(workspace), { minutes: 9 });
    assert.equal(again.directory, directory);
    assert.equal(again.found?.minutes, 5);
    for (const minutes of [9, undefined]) {
      await limitStudy(directory, minutes, workspace);
      const read = await readStudyRecord(directory);
      assert.ok('record' in read);
      assert.deepEqual([read.record.minutes, read.record.state], [minutes, 'waiting']);
    }
    const writer = await StudyWriter.open(directory, { nonce: 'a'.repeat(32) });
    await assert.rejects(limitStudy(directory, 3, workspace), (error) => error instanceof ThawError && error.code === 'run-is-locked');
    await writer.close();
    assert.equal(again.found.plan.datasets[0]?.path, 'hymenoptera');
    assert.equal(resolveStored('hymenoptera', directory), path.join(workspace, 'hymenoptera'));
    assert.notEqual((await startStudy(studies, { ...request(workspace), seeds: 4 }, { minutes: undefined })).directory, directory);
    assert.notEqual((await startStudy(studies, request(workspace), { minutes: undefined, fresh: true })).directory, directory);
  });
  test('datasets of one name are told apart by as little of their paths as it takes', async () => {
    assert.deepEqual(distinctNames(['/w/a/photos', '/w/b/photos', '/w/emoji']), ['a/photos', 'b/photos', 'emoji']);
    assert.deepEqual(distinctNames(['/w/a/x/photos', '/w/b/x/photos', '/w/b/y/photos', '/photos']), ['a/x/photos', 'b/x/photos', 'y/photos', 'photos']);
    const workspace = folder.workspace();
    const datasets = ['a', 'b'].map((name) => ({ folder: path.join(workspace, name, 'hymenoptera'), runsFolder: path.join(workspace, '.thaw', 'runs') }));
    const { directory } = await startStudy(path.join(workspace, '.thaw', 'studies'), { ...request(workspace), datasets }, { minutes: undefined });
    const read = await readStudyRecord(directory);
    assert.ok('record' in read);
    assert.deepEqual(read.record.plan.datasets.map(({ name }) => name), ['a/hymenoptera', 'b/hymenoptera']);
    assert.equal(referenceAccuracy('a/hymenoptera', 'freeze', 'rgb'), 0.961);
  });
  test('what is too large for one study is refused with its numbers, before anything is made', async () => {
    const workspace = folder.workspace();
    const studies = path.join(workspace, '.thaw', 'studies');
    const many = (count: number) => Array.from({ length: count }, (_, index) => ({ folder: path.join(workspace, String(index)), runsFolder: path.join(workspace, '.thaw', 'runs') }));
    const asked: [Partial<Parameters<typeof startStudy>[1]>, RegExp][] = [
      [{ datasets: many(33) }, /^33 folders are too many for one study$/], [{ seeds: 101 }, /^101 seeds are too many for one study$/],
      [{ datasets: many(30), backbones: BACKBONES, seeds: 100 }, /^30 folders × 2 strategies × 2 colours × 8 networks × 100 seeds are 96000 runs; one study holds 20000$/],
    ];
    for (const [change, message] of asked) {
      await assert.rejects(startStudy(studies, { ...request(workspace), ...change }, { minutes: undefined }), (error) => error instanceof ThawError && error.code === 'study-too-large' && message.test(error.message));
    }
    assert.equal(existsSync(path.join(workspace, '.thaw')), false);
  });
  test('a curve has no more points than its recipe has epochs', async () => {
    const workspace = folder.workspace();
    const recipe = { ...recipeNamed('default', 'freeze', 'efficientnet_lite0'), epochs: 2 };
    placeRun(workspace, { 'run.json': JSON.stringify(makeRecord({ state: 'finished', configuration: { ...makeRecord().configuration, recipe } })), 'events.ndjson': lines(...[1, 2, 3, 4].map((epoch) => makeEpoch(epoch))) });
    const plan = makePlan();
    const directory = await createStudyFolder(path.join(workspace, '.thaw', 'studies'), makeStudy({ runs: plannedRuns(plan, 'seeds last').map((run, index) => ({ ...run, ...(index === 0 && { run: 'run-1' }) })) }, plan));
    const study = await readStudySnapshot(directory);
    assert.ok('curves' in study);
    assert.deepEqual(study.curves.map(({ epochs, validation }) => [epochs, validation.length]), [[2, 2]]);
  });
  test('beside a runs folder that is elsewhere it is hidden in it, and its paths are whole', () => {
    const studies = studiesFolderFor('/somewhere/runs');
    assert.equal(studies, '/somewhere/runs/.studies');
    assert.equal(storedPath('/data/pets', studies), '/data/pets');
    assert.throws(() => resolveStored('pets', path.join(studies, 'study-1')), /outside its workspace/);
    assert.throws(() => resolveStored('../pets', '/pictures/.thaw/studies/study-1'), /outside its workspace/);
  });
  test('its datasets are in the open folders, all of them, or they are not', () => {
    const open = (folder: string): boolean => folder === '/pictures' || folder.startsWith('/pictures/');
    const lies = (...paths: string[]): boolean => allDatasetsIn(makePlan({ datasets: paths.map((stored) => ({ name: 'x', path: stored, runs: '.thaw/runs' })) }), '/pictures/.thaw/studies/study-1', open);
    assert.equal(lies('pets', '/pictures/birds', '.'), true);
    for (const outside of ['/etc', '/pictures/../etc', '../etc', 'pets/../../etc']) assert.equal(lies('pets', outside), false, outside);
  });
  test('a finished study is repeated without weights or datasets, and is left as it is', async () => {
    const workspace = folder.workspace();
    const environment = { THAW_HOME: path.join(workspace, 'nothing here') };
    const data = { classes: ['ants', 'bees'], layout: 'given' as const, train: 245, validation: 153, test: 0, counts: [], fingerprint: FINGERPRINT, leftOut: [], leftOutCount: 0, warnings: [] };
    placeRun(workspace, { 'run.json': JSON.stringify(makeRecord({ state: 'finished', result: makeResult(90, 100), data })) });
    const plan = makePlan({ strategies: ['freeze'], colours: ['rgb'], seeds: 2 });
    const runs = plannedRuns(plan, 'seeds last').map((run): StudyRun => ({ ...run, estimatedSeconds: 10, ...(run.seed === 0 ? { state: 'finished', run: 'run-1', seconds: 10 } : { state: 'leftOut' }) }));
    const repeat = async (change: Partial<StudyRecord>): Promise<string> => {
      const record = makeStudy({ id: newStudyId(new Date()), state: 'finished', minutes: 0.2, trimmedTo: 1, estimate: { seconds: 20, device: 'CPU' }, runs, ...change }, plan);
      const directory = await createStudyFolder(path.join(workspace, '.thaw', 'studies'), record);
      const file = path.join(directory, 'study.json');
      const before = readFileSync(file, 'utf8');
      const writer = await StudyWriter.open(directory, { nonce: 'a'.repeat(32) });
      try {
        await runStudy(writer, { nonce: 'a'.repeat(32), environment });
      } catch (error) {
        return error instanceof ThawError ? error.code : String(error);
      } finally {
        await writer.close();
      }
      return readFileSync(file, 'utf8') === before ? 'unchanged' : 'changed';
    };
    assert.equal(await repeat({}), 'unchanged');
    mkdirSync(path.join(workspace, 'hymenoptera', 'ants'), { recursive: true });
    assert.equal(await repeat({}), 'weights-missing', 'the images are no longer those that its run saw');
    rmSync(path.join(workspace, 'hymenoptera'), { recursive: true });
    assert.equal(await repeat({ minutes: 5 }), 'weights-missing', 'there is time for the run that was left out');
    assert.equal(await repeat({ runs: runs.map((run) => (run.seed === 0 ? { ...run, run: 'run-2' } : run)) }), 'weights-missing', 'a run whose folder is gone is trained again');
    assert.equal(await repeat({ state: 'stopped', runs: runs.map((run) => ({ ...run, state: 'planned' })) }), 'weights-missing');
  });
  test('one whose runs are not those of its plan is not read', async () => {
    const workspace = folder.workspace();
    const { runs } = makeStudy();
    const read = async (changed: StudyRun[]): Promise<unknown> => {
      const directory = await createStudyFolder(path.join(workspace, '.thaw', 'studies'), makeStudy({ id: newStudyId(new Date()), runs: changed }));
      const found = await readStudyRecord(directory);
      return 'reason' in found ? found.reason : found.record.runs.length;
    };
    assert.equal(await read([...runs].reverse()), 12);
    for (const changed of [[], runs.slice(1), [...runs.slice(1), runs[1]!], runs.map((run) => ({ ...run, dataset: 99 })), runs.map((run) => ({ ...run, strategy: 'scratch' as const }))]) {
      assert.equal(await read(changed), 'the runs in its study.json are not those of its plan');
    }
  });
  test('a new one takes up what earlier ones have finished on the same folder by the same recipe', async () => {
    const workspace = folder.workspace();
    const studies = path.join(workspace, '.thaw', 'studies');
    const done = (run: StudyRun): StudyRun => ({ ...run, state: 'finished', run: `run-${run.strategy}-${run.colour}-${String(run.seed)}`, seconds: 7, featureSeconds: 2 });
    const { directory } = await startStudy(studies, { ...request(workspace), seeds: 2 }, { minutes: undefined });
    const writer = await StudyWriter.open(directory, { nonce: 'a'.repeat(32) });
    await writer.update({ runs: writer.record.runs.map((run) => (run.seed === 0 ? done(run) : run)) });
    await writer.close();
    const started = async (change: Partial<Parameters<typeof startStudy>[1]>, fresh = false): Promise<StudyRun[]> => {
      const read = await readStudyRecord((await startStudy(studies, { ...request(workspace), ...change }, { minutes: undefined, fresh })).directory);
      assert.ok('record' in read);
      return read.record.runs;
    };
    const more = await started({ seeds: 5, datasets: [{ folder: path.join(workspace, 'birds'), runsFolder: path.join(workspace, '.thaw', 'runs') }, ...request(workspace).datasets] });
    assert.deepEqual(more.filter(({ state }) => state === 'finished'), more.filter(({ dataset, seed }) => dataset === 1 && seed === 0).map((run) => done({ ...run, state: 'planned' })));
    assert.equal(more.filter(({ state }) => state === 'finished').length, 4);
    const recipes = request(workspace).recipes.map((one) => ({ ...one, recipe: { ...one.recipe, epochs: 3 } }));
    for (const runs of [await started({ recipes }), await started({ seeds: 5 }, true)]) assert.equal(runs.filter(({ state }) => state === 'finished').length, 0);
  });
  test('one process executes it; when that is gone it is interrupted, and a request to stop is answered', async () => {
    const workspace = folder.workspace();
    const directory = await createStudyFolder(path.join(workspace, '.thaw', 'studies'), makeStudy());
    const writer = await StudyWriter.open(directory, { nonce: 'a'.repeat(32) });
    await assert.rejects(StudyWriter.open(directory, { nonce: 'b'.repeat(32) }), /Another trainer works on/);
    await writer.update({ state: 'running', startedAt: new Date().toISOString() });
    const stopping = stopStudy(directory);
    while (!writer.stopRequested()) await new Promise((resolve) => setTimeout(resolve, 20));
    await writer.update({ state: 'stopped' });
    assert.equal(await stopping, 'stopped');
    await writer.update({ state: 'running' });
    await writer.close();
    const read = await readStudyRecord(directory);
    assert.ok('record' in read && read.state === 'interrupted');
    const next = await StudyWriter.open(directory, { nonce: 'c'.repeat(32) });
    assert.equal(next.stopRequested(), false, 'the old request is forgotten');
    await next.close();
  });
  test('a request to stop that comes while its process starts is heeded', async () => {
    const workspace = folder.workspace();
    const directory = await createStudyFolder(path.join(workspace, '.thaw', 'studies'), makeStudy());
    const stopping = stopStudy(directory); // it reads as waiting: its process is still to come
    while (!existsSync(path.join(directory, 'stop'))) await new Promise((resolve) => setTimeout(resolve, 20));
    const writer = await StudyWriter.open(directory, { nonce: 'a'.repeat(32) });
    assert.equal(writer.stopRequested(), true);
    await writer.update({ state: 'stopped', startedAt: new Date().toISOString() });
    assert.equal(await stopping, 'stopped');
    await writer.close();
    const resumed = await StudyWriter.open(directory, { nonce: 'b'.repeat(32) });
    assert.equal(resumed.stopRequested(), false, 'and forgotten by the next');
    await resumed.close();
  });
  test('what is hostile is not read, and says why', async () => {
    const workspace = folder.workspace();
    const studies = path.join(workspace, '.thaw', 'studies');
    const place = (id: string, content: string): string => {
      mkdirSync(path.join(studies, id), { recursive: true });
      writeFileSync(path.join(studies, id, 'study.json'), content);
      return path.join(studies, id);
    };
    const whole = makeStudy({ id: 'a' });
    symlinkSync(place('real', JSON.stringify(makeStudy({ id: 'real' }))), path.join(studies, 'link'));
    const cases: [string, RegExp][] = [
      [place('text', 'no JSON'), /not valid JSON/], [place('b', JSON.stringify(whole)), /that of another study/],
      [place('a', JSON.stringify({ ...whole, runs: [{ ...whole.runs[0], run: '../../etc' }] })), /not valid at runs\.0\.run/],
      [place('c', JSON.stringify({ ...whole, id: 'c', runs: whole.runs.map((run) => ({ ...run, run: 'run-1' })) })), /not valid at runs: two runs have the same folder/],
      [place('d', JSON.stringify({ ...whole, id: 'd', plan: { ...whole.plan, strategies: ['freeze', 'freeze'] } })), /not valid at plan\.strategies: something is in it twice/],
      [place('e', JSON.stringify({ ...whole, id: 'e', plan: { ...whole.plan, colours: Array(50_000).fill('rgb') } })), /not valid at plan\.colours/],
      [place('f', JSON.stringify({ ...whole, id: 'f', createdAt: '2026-01-01T00:00:00+05' })), /not valid at createdAt: not a date and time/],
      [path.join(studies, 'link'), /is a link/], [path.join(studies, 'none'), /the folder is gone/],
    ];
    for (const [directory, reason] of cases) {
      const read = await readStudySnapshot(directory);
      assert.ok('reason' in read && reason.test(read.reason), `${directory}: ${JSON.stringify(read).slice(0, 200)}`);
    }
    const outside = makeStudy({ id: 'outside' }, makePlan({ datasets: [{ name: 'x', path: '../../x', runs: '../../runs' }] }));
    const read = await readStudySnapshot(place('outside', JSON.stringify({ ...outside, runs: outside.runs.map((run, index) => ({ ...run, run: `run-${String(index)}` })) })));
    assert.ok('reason' in read && /outside its workspace/.test(read.reason));
    assert.equal(existsSync(path.join(workspace, '..', 'runs')), false);
  });
});

describe('a study as a file', () => {
  const EVIL = '=cmd|"/c calc"!A0,</title><script>alert(1)</script> & $x_{1}% \\input{/etc/passwd} ~^# `a` | b\u202E\n\n# h';
  const plan = makePlan({ datasets: [{ name: EVIL, path: 'a', runs: '.thaw/runs' }, { name: 'Hymenoptera', path: 'b', runs: '.thaw/runs' }] });
  const right = (seed: number, wrong: number): boolean[] => answers(60, (image) => image >= wrong + seed);
  const some = [0, 1].flatMap((dataset) => [0, 1, 2].flatMap((seed) => [
    finished({ dataset, seed, run: `freeze-${String(dataset)}-${String(seed)}` }, right(seed, 5)), finished({ dataset, seed, strategy: 'finetune', run: `finetune-${String(dataset)}-${String(seed)}` }, right(seed, 30)),
  ]));
  const record = makeStudy({ state: 'finished', ...studyResults(plan, some), runs: some.map(({ planned }) => planned) }, plan);
  const study: StudySnapshot = {
    directory: '/s/study-1', record: v.parse(studyRecordSchema, record), state: 'finished', datasets: [{ train: 100, validation: 60, test: 0, classes: 2 }, undefined],
    curves: record.runs.map((_, run) => ({ run, state: 'finished' as const, epochs: 3, validation: [{ accuracy: 0.4 }, { accuracy: 0.7 }, { accuracy: 0.8 + run / 100 }] })), device: 'CPU <1>',
  };
  const write = (format: (typeof STUDY_FORMATS)[number], reference = false): string => exportStudy(study, format, { l10n: ENGLISH, reference });

  test('CSV: a row a cell, and a name that a spreadsheet would run is text', () => {
    const rows = write('csv', true).split('\r\n');
    assert.equal(rows.length, 1 + 8 + 1);
    assert.ok(rows[0]?.endsWith(',reference'));
    assert.ok(write('csv').includes(`"'=cmd|""/c calc""!A0,`));
    const last = rows.find((row) => row.startsWith('Hymenoptera') && row.includes('finetune,rgb'))?.split(',') ?? [];
    assert.deepEqual(last.slice(5, 10), ['efficientnet_lite0', 'finetune', 'rgb', 'default', '3']);
    assert.equal(last.at(-1), '0.954');
    assert.ok(Math.abs(Number(last[10]) - 29 / 60) < 1e-12);
  });
  test('HTML: one file, no script, nothing from elsewhere, names as text, and a curve a cell', () => {
    const html = write('html', true);
    assert.ok(!/<script|<img|<link|<iframe|javascript:|https?:|url\(|\son\w+=/i.test(html.replaceAll(/&lt;.*?&gt;/g, '')));
    assert.match(html, /content="default-src 'none'; style-src 'unsafe-inline'"/);
    assert.ok(html.includes('&lt;/title&gt;&lt;script&gt;'));
    assert.ok(html.includes('CPU &lt;1&gt;'));
    assert.equal(html.match(/<polyline/g)?.length, 4);
    assert.match(html, /reference \.954/);
    assert.ok(!html.includes('\u202E'));
  });
  test('Markdown: names neither end a cell nor make markup; the better cell alone is bold', () => {
    const markdown = write('markdown');
    const rows = markdown.split('\n').filter((line) => line.startsWith('| \\=cmd') || line.startsWith('| =cmd'));
    assert.ok(rows.length >= 2);
    for (const row of rows) assert.ok(row.replaceAll(/\\./g, '').split('|').length >= 6 && !row.includes('<script'), row);
    assert.ok(!/^# h/m.test(markdown) && !/[^\\]`a/.test(markdown));
    assert.match(markdown, /\| Hymenoptera \| \*\*\.900\*\* \[/);
    assert.match(markdown, /\*\*Finetune against freeze\.\*\* Freeze is better/);
    assert.equal(markdown.match(/\| 3 seeds, over images and seeds; McNemar by seed: <\u00a0\.001, <\u00a0\.001, <\u00a0\.001 \|/g)?.length, 2);
    assert.match(write('html'), /McNemar by seed: &lt;\u00a0\.001,/);
  });
  test('LaTeX: no command comes from a name', () => {
    const latex = write('latex');
    assert.ok(!latex.includes('\\input'));
    assert.ok(latex.includes('\\textbackslash{}input\\{/etc/passwd\\}') && latex.includes('\\$x\\_\\{1\\}\\%'));
    for (const line of latex.split('\n').filter((each) => each.includes('calc'))) assert.ok(!/(^|[^\\])[#%$_&](?!.*\\\\$)/.test(line.replaceAll(/\\[#%$_&{}]/g, '').replaceAll(/ & /g, ' ').replaceAll('$-$', '').replaceAll(/\$[<>]\$/g, '')), line);
  });
  test('the same study gives the same bytes', () => {
    for (const format of STUDY_FORMATS) assert.equal(write(format), write(format));
  });
  test('curves: the mean over seeds that have ended, on a scale that holds it', () => {
    const [freeze] = curvesOf(study, 1, 'efficientnet_lite0');
    assert.equal(freeze?.values.length, 3);
    assert.ok(Math.abs(freeze.values[2]! - (0.86 + 0.88 + 0.9) / 3) < 1e-12);
    const changed = { ...study, curves: study.curves.map((curve) => ({ ...curve, fingerprint: curve.run === 6 ? 'before' : 'after' })) };
    assert.ok(Math.abs(curvesOf(changed, 1, 'efficientnet_lite0')[0]!.values[2]! - (0.88 + 0.9) / 2) < 1e-12, 'of other images than the last: not in the mean');
    for (const [values, low, high] of [[[0.98, 1], 0.98, 1], [[0.1, 0.6], 0.1, 0.6], [[0, 1], 0, 1], [[1], 0.99, 1], [[], 0.99, 1]] as const) {
      const axis = curveAxis(values);
      assert.ok(Math.abs(axis.low - low) < 1e-9 && Math.abs(axis.high - high) < 1e-9 && axis.ticks.length >= 2, JSON.stringify([values, axis]));
    }
  });
  test('no cell is bold over one that no test tells from it', () => {
    const rows = studyRows(makeStudySnapshot({ state: 'finished' }), ENGLISH); // gray is worse; freeze and finetune are level
    assert.deepEqual(rows.flatMap(({ best }) => best), Array<boolean>(8).fill(false));
    assert.ok(!exportStudy(makeStudySnapshot({ state: 'finished' }), 'markdown', { l10n: ENGLISH, reference: false }).includes('**.'));
  });
  test('how intervals were made is said where the cells don\'t', () => {
    const note = (seeds: number): string => exportStudy(makeStudySnapshot({ state: 'finished', seeds, done: 8 * seeds }), 'markdown', { l10n: ENGLISH, reference: false });
    assert.match(note(1), /95% intervals are Wilson's, over images alone: other seeds may lie outside\\?\./);
    assert.match(note(3), /95% intervals are a bootstrap over seeds and images\\?\./);
    assert.match(note(1), /^2 datasets, freeze, finetune, colour and gray, efficientnet\\_lite0, 1 seed, recipe default\.\n/);
    assert.match(write('latex'), /95\\% intervals are a bootstrap/);
  });
  test('times say how many times those of freeze they are', () => {
    assert.match(write('markdown'), /\d, [\d.,]+ times freeze \|/);
    assert.ok(write('csv').split('\r\n')[0]?.includes('features_cached,times_freeze,accuracies'));
  });
  test('the reference is the study\'s own table', () => {
    const table = REFERENCE.datasets.map(({ train, validation, classes, accuracies }) => [`${String(train)}/${String(validation)} (${String(classes)})`, ...(['finetune rgb', 'freeze rgb', 'finetune gray', 'freeze gray'] as const).map((name) => accuracies[name])]);
    assert.deepEqual(table, [
      ['244/153 (2)', 0.954, 0.961, 0.922, 0.902], ['15638/3910 (20)', 0.925, 0.642, 0.902, 0.543], ['20000/5000 (2)', 0.989, 0.981, 0.989, 0.976], ['24491/6116 (257)', 0.674, 0.543, 0.613, 0.435],
    ]);
    assert.equal(referenceAccuracy('Dogs_vs_Cats', 'freeze', 'gray'), 0.976);
    assert.equal(referenceAccuracy('emoji', 'freeze', 'rgb'), undefined);
  });
});
