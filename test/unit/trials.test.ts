// The table of recipes that were tried: rebuilt from the committed results, by the recipes that are tried now.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import * as v from 'valibot';
import { studySummarySchema, summaryOf } from '../../bench/studyDocument.js';
import { recipeOfTrial, TRIALS, trialsSchema, trialsTable, withTrials, type Trials } from '../../bench/trialsTable.js';
import { recipeSchema } from '../../src/protocol/run.js';
import { requireFit } from '../../src/training/recipes.js';
import { makeStudySnapshot } from '../harness/studies.js';
import { FINGERPRINT } from './runRecords.js';

const read = (name: string): string => readFileSync(path.join(process.cwd(), 'docs', name), 'utf8');
const study = v.parse(studySummarySchema, JSON.parse(read('study.json')));
const trials = v.parse(trialsSchema, JSON.parse(read('trials.json')));

test('docs/recipes.md has the table that docs/trials.json and docs/study.json make', () => {
  assert.equal(withTrials(read('recipes.md'), trials, study), read('recipes.md'));
  assert.throws(() => withTrials('no place', trials, study), /no place for the table/);
});

test('each trial is a recipe of its strategy, another than the others, and the one that its results come from', () => {
  const recipes = TRIALS.map((trial) => {
    const recipe = recipeOfTrial(trial);
    requireFit(recipe, trial.strategy);
    const known = trials.trials[trial.id];
    if (known !== undefined) assert.deepEqual(known.recipe, v.parse(recipeSchema, recipe), `${trial.id}: run npm run bench:trials anew`);
    return JSON.stringify({ ...recipe, name: '' });
  });
  assert.equal(new Set(recipes).size, TRIALS.length);
  assert.deepEqual(Object.keys(trials.trials).filter((id) => !TRIALS.some((trial) => trial.id === id)), []);
});

test('a row holds the seeds in their order, with their mean', () => {
  const { record } = summaryOf(makeStudySnapshot({ state: 'finished' }));
  const run = (dataset: string, seed: number, correct: number): Trials['trials'][string]['runs'][number] => ({ dataset, fingerprint: FINGERPRINT, seed, correct, total: 100, bestEpoch: 1, seconds: 1 });
  const table = trialsTable({ machine: 'a machine', trials: { fast: { recipe: recipeOfTrial(TRIALS[0]!), runs: [run('pets', 1, 90), run('pets', 0, 80), run('Hymenoptera', 0, 95)] } } }, { record });
  const rows = table.split('\n');
  assert.equal(rows[0], '| recipe | Hymenoptera | pets |');
  assert.match(rows[2]!, /^\| `default`, freeze \| \.967 \.960 \.953, mean \.960 \|/);
  assert.ok(rows.includes('| `fast`: 2 epochs | .950 | .800 .900, mean .850 |'), table);
  assert.ok(!table.includes('no clipping'));
});
