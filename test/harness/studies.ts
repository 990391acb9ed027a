// A study for tests of what shows it: two datasets, one with a hostile name, with answers from which its numbers follow.
import type { StudyPlan, StudyRun, StudySnapshot } from '../../src/protocol/study.js';
import { imageAnswers, studyResults, type FinishedRun } from '../../src/study/results.js';
import { recipeNamed } from '../../src/training/recipes.js';
import { FINGERPRINT, makeResult } from '../unit/runRecords.js';

export interface StudyOptions {
  readonly state?: StudySnapshot['state'];
  /** The second dataset's name. */
  readonly name?: string;
  readonly seeds?: number;
  /** Of the runs in their order, so many have finished; the next one runs. */
  readonly done?: number;
}

const CURVE = [0.6, 0.75, 0.82, 0.88];

/** Runs in the order of the table, seed after seed. Gray misses more images than colour, freeze as many as finetune. */
export function makeStudySnapshot({ state = 'running', name = 'pets', seeds = 3, done = 24 }: StudyOptions = {}): StudySnapshot {
  const strategies = ['freeze', 'finetune'] as const;
  const plan: StudyPlan = {
    datasets: [{ name: 'Hymenoptera', path: 'hymenoptera', runs: '.thaw/runs' }, { name, path: 'pets', runs: '.thaw/runs' }], strategies: [...strategies], colours: ['rgb', 'gray'],
    backbones: ['efficientnet_lite0'], seeds, splitSeed: 0, recipe: 'default', recipes: strategies.map((strategy) => ({ strategy, backbone: 'efficientnet_lite0', recipe: recipeNamed('default', strategy, 'efficientnet_lite0') })),
  };
  const places = Array.from({ length: seeds }, (_, seed) => [0, 1].flatMap((dataset) => (['rgb', 'gray'] as const).flatMap((colour) => strategies.map((strategy) => ({ dataset, colour, strategy, seed }))))).flat();
  const runs = places.map((place, index): StudyRun => ({
    ...place, backbone: 'efficientnet_lite0', state: index < done ? 'finished' : index === done && state === 'running' ? 'running' : 'planned',
    ...(index <= done && { run: `run-${String(index)}` }), estimatedSeconds: 10,
    ...(index < done && { seconds: place.strategy === 'freeze' ? 5 : 40, featureSeconds: 1 }),
  }));
  const finished = runs.filter((run) => run.state === 'finished').map((planned): FinishedRun => {
    const right = Array.from({ length: 150 }, (_, image) => image >= 5 + planned.seed && !(planned.colour === 'gray' && image > 100 && image < 120 - planned.seed));
    return {
      planned, result: makeResult(right.filter(Boolean).length, right.length, { imagesPerSecondOf: planned.strategy === 'freeze' ? 'features' : 'training' }), fingerprint: FINGERPRINT,
      answers: imageAnswers(new Map(right.map((value, image) => [`image ${String(image)}`, value]))),
    };
  });
  return {
    directory: '/pictures/.thaw/studies/study-1', state, device: 'CPU (2 threads)', datasets: [{ train: 244, validation: 150, test: 0, classes: 2 }, { train: 80, validation: 150, test: 0, classes: 2 }],
    record: {
      schemaVersion: 1, id: 'study-1', createdAt: '2026-01-02T03:04:05.000Z', state: state === 'interrupted' ? 'running' : state, plan, estimate: { seconds: runs.length * 10, device: 'CPU (2 threads)' }, runs,
      ...studyResults(plan, finished),
    },
    curves: runs.flatMap(({ run, state: one, colour }, index) => (run === undefined ? [] : [{
      run: index, state: one === 'finished' ? 'finished' as const : 'running' as const, epochs: 4, validation: CURVE.slice(0, one === 'finished' ? 4 : 2).map((accuracy) => ({ accuracy: accuracy - (colour === 'gray' ? 0.1 : 0) })),
    }])),
  };
}
