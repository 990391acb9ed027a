// What was recommended against what won, from the committed measurements and results. The rule is applied anew, so that a change of it shows at once.
import * as v from 'valibot';
import { decide } from '../src/advice/rule.js';
import { formatNearness } from '../src/advice/words.js';
import { twoWayBootstrap } from '../src/metrics/bootstrap.js';
import { formatAccuracy, formatDifference } from '../src/metrics/format.js';
import { mcnemarExact } from '../src/metrics/significance.js';
import { adviceSchema, CONFIDENCES, RECOMMENDATIONS, type AdviceConfidence, type Decision, type Recommendation } from '../src/protocol/advice.js';
import { DEFAULT_BACKBONE, recipeSchema } from '../src/protocol/run.js';
import { SIGNIFICANCE } from '../src/runs/verdict.js';
import { SeededRandom } from '../src/training/random.js';
import { defaultRecipe } from '../src/training/recipes.js';
import { replaceBetween } from './documentTable.js';

/** One run: which of the validation images, in the order of their paths, were right. */
const runSchema = v.object({ seed: v.number(), right: v.pipe(v.string(), v.regex(/^[01]+$/)), epochs: v.number(), seconds: v.number(), /** Names all that the numbers depend on: recipe, weights, images. */ made: v.string() });
export type CaseRun = v.InferOutput<typeof runSchema>;

const caseSchema = v.object({
  advice: v.object({ made: v.string(), result: v.object({ measurements: adviceSchema.entries.measurements, seconds: v.number() }) }),
  freeze: v.array(runSchema),
  finetune: v.array(runSchema),
});
export type CaseResult = v.InferOutput<typeof caseSchema>;

export const summarySchema = v.object({ machine: v.string(), /** What the runs were trained by. */ recipes: v.object({ freeze: recipeSchema, finetune: recipeSchema }), cases: v.record(v.string(), caseSchema) });
export type Summary = v.InferOutput<typeof summarySchema>;

const MOST_EPOCHS = 8;
const { epochs, ...finetune } = defaultRecipe('finetune', DEFAULT_BACKBONE);
/** What the runs are trained by: the default, in at most eight epochs. */
export const EVALUATED_RECIPES: Summary['recipes'] = { freeze: defaultRecipe('freeze', DEFAULT_BACKBONE), finetune: { ...finetune, epochs: Math.min(epochs, MOST_EPOCHS) } };

export interface Outcome {
  readonly id: string;
  readonly decision: Decision;
  readonly seeds: number;
  readonly freeze: number;
  readonly finetune: number;
  readonly difference: number;
  readonly interval: readonly [number, number];
  readonly winner: 'freeze' | 'finetune' | 'neither';
  readonly verdict: 'right' | 'harmless' | 'miss';
}

/** A case's result over the seeds that both strategies have; undefined without any. */
export function outcomeOf(id: string, { advice, ...runs }: CaseResult): Outcome | undefined {
  const seeds = runs.freeze.map(({ seed }) => seed).filter((seed) => runs.finetune.some((run) => run.seed === seed));
  if (seeds.length === 0) return undefined;
  const answersOf = (strategy: readonly CaseRun[]): number[][] => seeds.map((seed) => Array.from(strategy.find((run) => run.seed === seed)?.right ?? '', Number));
  const [freeze, finetune] = [answersOf(runs.freeze), answersOf(runs.finetune)];
  const differences = finetune.map((row, seed) => row.map((value, image) => value - (freeze[seed]?.[image] ?? 0)));
  const [low, high] = twoWayBootstrap(differences, new SeededRandom(0, 'evaluation'));
  const all = differences.flat();
  // An interval of one seed is of its images alone, and of few that differ it is too narrow: McNemar's exact test has to agree.
  const telling = seeds.length > 1 || mcnemarExact(all.filter((value) => value > 0).length, all.filter((value) => value < 0).length) < SIGNIFICANCE;
  const winner = telling && low > 0 ? 'finetune' : telling && high < 0 ? 'freeze' : 'neither';
  const decision = decide(advice.result.measurements);
  return {
    id, decision, seeds: seeds.length, freeze: mean(freeze.flat()), finetune: mean(finetune.flat()), difference: mean(all), interval: [low, high],
    winner, verdict: verdictOf(decision.recommendation, winner),
  };
}

/** Right: the winner was named, or where neither won, not the dearer of the two. Harmless: finetune was named and neither won. */
function verdictOf(recommendation: Recommendation, winner: Outcome['winner']): Outcome['verdict'] {
  if (winner === 'neither') return recommendation === 'finetune' ? 'harmless' : 'right';
  return recommendation === winner ? 'right' : 'miss';
}

const WORDS: Readonly<Record<Recommendation, string>> = { freeze: 'freeze', finetune: 'finetune', 'no-difference': 'no difference' };

/** The table and what it comes to, as Markdown. */
export function adviceTable({ machine, recipes: { finetune: { epochs, body } }, cases }: Summary): string {
  const outcomes = Object.entries(cases).flatMap(([id, result]) => {
    const outcome = outcomeOf(id, result);
    return outcome === undefined ? [] : [{ ...outcome, measured: result.advice.result.measurements }];
  });
  const lines = [
    '| case | train, val | nearness | probe | recommended, how sure | freeze | finetune | finetune − freeze | seeds | won | advice |',
    '|---|---|---|---|---|---|---|---|---|---|---|',
    ...outcomes.map(({ id, decision, measured, freeze, finetune, difference, interval, seeds, winner, verdict }) =>
      `| ${[
        id, `${String(measured.train)}, ${String(measured.validation)}`, formatNearness(measured.nearness?.mean), formatAccuracy(measured.probe.accuracy),
        `${WORDS[decision.recommendation]}, ${decision.confidence}`, formatAccuracy(freeze), formatAccuracy(finetune),
        `${formatDifference(difference)} [${formatDifference(interval[0])} to ${formatDifference(interval[1])}]`, String(seeds), winner, verdict,
      ].join(' | ')} |`),
    '',
  ];
  const count = (chosen: (outcome: Outcome) => boolean): string => String(outcomes.filter(chosen).length);
  lines.push(`Of ${String(outcomes.length)} cases the advice was right in ${count(({ verdict }) => verdict === 'right')}, harmless in ${count(({ verdict }) => verdict === 'harmless')} and missed in ${count(({ verdict }) => verdict === 'miss')}. `
    + `In ${count(({ winner }) => winner === 'neither')} the loser was within noise of the winner. `
    + `Who always chose freeze would have missed ${count(({ winner }) => winner === 'finetune')}, who always chose finetune ${count(({ winner }) => winner === 'freeze')}.`, '');
  const tally = <Key extends string>(keys: readonly Key[], keyOf: (outcome: Outcome) => Key): string => keys.flatMap((key) => {
    const own = outcomes.filter((outcome) => keyOf(outcome) === key);
    return own.length === 0 ? [] : [`${key} ${String(own.filter(({ verdict }) => verdict === 'right').length)} of ${String(own.length)}`];
  }).join(', ');
  lines.push(`Right by confidence: ${tally<AdviceConfidence>(CONFIDENCES, ({ decision }) => decision.confidence)}. By recommendation: ${tally<Recommendation>(RECOMMENDATIONS, ({ decision }) => decision.recommendation)}.`, '',
    `Finetune is ${String(epochs)} epochs of all layers, rates up to ${String(body?.learningRate)}. Measured on ${machine}.`);
  return lines.join('\n');
}

const MARKS = ['<!-- table: npm run bench:advice -- --table -->', '<!-- end of table -->'] as const;

/** The document with its table built anew. */
export function withTable(document: string, summary: Summary): string {
  return replaceBetween(document, MARKS, adviceTable(summary));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
