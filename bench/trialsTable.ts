// Recipes that were tried in place of the default, and the table of docs/recipes.md: made of the committed results, so that it can be rebuilt without training.
import * as v from 'valibot';
import { formatAccuracy } from '../src/metrics/format.js';
import { DEFAULT_BACKBONE, recipeSchema, sha256, type Recipe, type Strategy } from '../src/protocol/run.js';
import { setField } from '../src/training/recipeFile.js';
import { recipeNamed, type RecipeName } from '../src/training/recipes.js';
import { replaceBetween } from './documentTable.js';
import type { StudySummary } from './studyDocument.js';

export interface Trial {
  readonly id: string;
  /** How it stands in the table. */
  readonly title: string;
  readonly strategy: Strategy;
  readonly recipe: RecipeName;
  /** As `--set` takes them. */
  readonly set: readonly string[];
}

/** What is tried: the other recipes as they are, and the default of finetune with one thing changed. */
export const TRIALS: readonly Trial[] = [
  { id: 'fast', title: '`fast`: 2 epochs', strategy: 'finetune', recipe: 'fast', set: [] },
  { id: 'seed-freeze', title: '`seed`, freeze', strategy: 'freeze', recipe: 'seed', set: [] },
  { id: 'seed-finetune', title: '`seed`, finetune', strategy: 'finetune', recipe: 'seed', set: [] },
  { id: 'batch', title: 'batch statistics, estimated anew', strategy: 'finetune', recipe: 'default', set: ['body.batchNorm=batch', 'body.batchNormMomentum=.1', 'body.reestimateImages=256'] },
  { id: 'batch-slow', title: 'batch statistics, running ones of momentum .01', strategy: 'finetune', recipe: 'default', set: ['body.batchNorm=batch', 'body.batchNormMomentum=.01', 'body.reestimateImages=0'] },
  { id: 'head-factor', title: 'the last layer at 10 times the rate', strategy: 'finetune', recipe: 'default', set: ['body.headLearningRateFactor=10'] },
  { id: 'head-random', title: 'from a random last layer', strategy: 'finetune', recipe: 'default', set: ['body.headStart=random'] },
  { id: 'no-warm-up', title: 'no warm-up', strategy: 'finetune', recipe: 'default', set: ['body.warmupShare=0'] },
  { id: 'no-clipping', title: 'no clipping', strategy: 'finetune', recipe: 'default', set: ['body.clipNorm=1e9'] },
  { id: 'low-rate', title: 'a tenth of the rate', strategy: 'finetune', recipe: 'default', set: ['body.learningRate=3e-4'] },
];

/** The whole recipe of a trial. */
export function recipeOfTrial({ strategy, recipe, set }: Trial): Recipe {
  return set.reduce(setField, recipeNamed(recipe, strategy, DEFAULT_BACKBONE));
}

const runSchema = v.strictObject({
  dataset: v.string(), /** Names the images, whatever their folder. */ fingerprint: sha256, seed: v.number(), correct: v.number(), total: v.number(), bestEpoch: v.number(), seconds: v.number(),
});
export type TrialRun = v.InferOutput<typeof runSchema>;

export const trialsSchema = v.strictObject({ machine: v.string(), trials: v.record(v.string(), v.strictObject({ recipe: recipeSchema, runs: v.array(runSchema) })) });
export type Trials = v.InferOutput<typeof trialsSchema>;

const MARKS = ['<!-- The table from here on is made by `npm run bench:trials`, of trials.json and study.json. -->', '<!-- To here: trials. -->'] as const;

/** The table: the study's cells by the default recipes in colour, and the trials beside them. Each accuracy a seed's, from 0 on. */
export function trialsTable({ machine, trials }: Trials, { record: { plan, cells } }: Pick<StudySummary, 'record'>): string {
  const line = (texts: readonly string[]): string => `| ${texts.join(' | ')} |`;
  const names = plan.datasets.map(({ name }) => name);
  const text = (accuracies: readonly number[]): string => (accuracies.length === 0 ? '–'
    : `${accuracies.map(formatAccuracy).join(' ')}${accuracies.length > 1 ? `, mean ${formatAccuracy(accuracies.reduce((sum, value) => sum + value, 0) / accuracies.length)}` : ''}`);
  const defaults = (['freeze', 'finetune'] as const).map((strategy) => line([
    `\`default\`, ${strategy}`, ...names.map((_, dataset) => text(cells.find((cell) => cell.dataset === dataset && cell.strategy === strategy && cell.colour === 'rgb')?.accuracies ?? [])),
  ]));
  const rows = TRIALS.flatMap(({ id, title }) => {
    const runs = trials[id]?.runs ?? [];
    return runs.length === 0 ? [] : [line([title, ...names.map((name) => text(runs.filter(({ dataset }) => dataset === name).sort((a, b) => a.seed - b.seed).map(({ correct, total }) => correct / total)))])];
  });
  return [line(['recipe', ...names]), line(['---', ...names.map(() => '---')]), ...defaults, ...rows, '', `Seeds 0, 1, … of each, ${DEFAULT_BACKBONE} in colour, the best epoch; the trials on ${machine}.`].join('\n');
}

/** The document with its table made anew. */
export function withTrials(document: string, trials: Trials, study: Pick<StudySummary, 'record'>): string {
  return replaceBetween(document, MARKS, trialsTable(trials, study));
}
