// What was recommended against what won, from the committed measurements and results. The rule is applied anew, so that a change of it shows at once.
import * as v from 'valibot';
import { decide } from '../src/advice/rule.js';
import { formatNearness } from '../src/advice/words.js';
import { formatAccuracy, formatDifference } from '../src/metrics/format.js';
import { adviceSchema, CONFIDENCES, RECOMMENDATIONS, type AdviceConfidence, type Decision, type Recommendation } from '../src/protocol/advice.js';

/** One run: which of the validation images, in the order of their paths, were right. */
const runSchema = v.object({ seed: v.number(), right: v.pipe(v.string(), v.regex(/^[01]+$/)), epochs: v.number(), seconds: v.number(), /** Names all that the numbers depend on: recipe, weights, images. */ made: v.string() });
export type CaseRun = v.InferOutput<typeof runSchema>;

const caseSchema = v.object({
  advice: v.object({ made: v.string(), result: v.object({ measurements: adviceSchema.entries.measurements, seconds: v.number() }) }),
  freeze: v.array(runSchema),
  finetune: v.array(runSchema),
});
export type CaseResult = v.InferOutput<typeof caseSchema>;

export const summarySchema = v.object({ machine: v.string(), cases: v.record(v.string(), caseSchema) });
export type Summary = v.InferOutput<typeof summarySchema>;

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

/** Two-sided 95 % of the standard normal distribution. */
const Z95 = 1.959963984540054;

/** A case's result over the seeds that both strategies have; undefined without any. */
export function outcomeOf(id: string, { advice, ...runs }: CaseResult): Outcome | undefined {
  const seeds = runs.freeze.map(({ seed }) => seed).filter((seed) => runs.finetune.some((run) => run.seed === seed));
  const images = runs.freeze[0]?.right.length ?? 0;
  if (seeds.length === 0) return undefined;
  const meanRight = (strategy: readonly CaseRun[]): number[] => Array.from({ length: images }, (_, image) =>
    seeds.reduce((sum, seed) => sum + (strategy.find((run) => run.seed === seed)?.right[image] === '1' ? 1 : 0), 0) / seeds.length);
  const [freeze, finetune] = [meanRight(runs.freeze), meanRight(runs.finetune)];
  const differences = finetune.map((value, image) => value - (freeze[image] ?? 0));
  const difference = mean(differences);
  // Paired by image, each image's answers averaged over the seeds.
  const half = Z95 * Math.sqrt(differences.reduce((sum, value) => sum + (value - difference) ** 2, 0) / (images - 1) / images);
  const winner = difference - half > 0 ? 'finetune' : difference + half < 0 ? 'freeze' : 'neither';
  const decision = decide(advice.result.measurements);
  return {
    id, decision, seeds: seeds.length, freeze: mean(freeze), finetune: mean(finetune), difference, interval: [difference - half, difference + half],
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
export function adviceTable({ machine, cases }: Summary): string {
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
    + `In ${count(({ winner }) => winner === 'neither')} the loser was within noise of the winner.`, '');
  const tally = <Key extends string>(keys: readonly Key[], keyOf: (outcome: Outcome) => Key): string => keys.flatMap((key) => {
    const own = outcomes.filter((outcome) => keyOf(outcome) === key);
    return own.length === 0 ? [] : [`${key} ${String(own.filter(({ verdict }) => verdict === 'right').length)} of ${String(own.length)}`];
  }).join(', ');
  lines.push(`Right by confidence: ${tally<AdviceConfidence>(CONFIDENCES, ({ decision }) => decision.confidence)}. By recommendation: ${tally<Recommendation>(RECOMMENDATIONS, ({ decision }) => decision.recommendation)}.`, '',
    `Measured on ${machine}.`);
  return lines.join('\n');
}

const [BEGIN, END] = ['<!-- table: npm run bench:advice -- --table -->', '<!-- end of table -->'];

/** The document with its table built anew. */
export function withTable(document: string, summary: Summary): string {
  const [from, to] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (from < 0 || to < from) throw new Error('docs/advice.md has no place for its table');
  return `${document.slice(0, from + BEGIN.length)}\n\n${adviceTable(summary)}\n\n${document.slice(to)}`;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
