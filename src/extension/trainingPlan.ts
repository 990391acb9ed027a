// What a person weighs before a run: which strategy, and how long it will take. Words and rules only, no `vscode`.
import * as v from 'valibot';
import type { Localiser } from '../protocol/localiser.js';
import type { Strategy } from '../protocol/run.js';

/** What `thaw estimate FOLDER --json` prints; measured on a few batches. */
const seconds = v.object({ seconds: v.pipe(v.number(), v.finite(), v.minValue(0)) });
export const estimateSchema = v.object({
  freeze: v.optional(seconds),
  finetune: v.optional(seconds),
  scratch: v.optional(seconds),
  /** In plain words: `CPU (2 threads)`, or a GPU's name. */
  device: v.string(),
});
export type Estimate = v.InferOutput<typeof estimateSchema>;

/** `estimating` until it is measured; `unknown` when it could not be. */
export type EstimateState = Estimate | 'estimating' | 'unknown';

/** Above this a person is asked before a run starts, seconds. */
export const ASK_ABOVE_SECONDS = 30 * 60;

/** A row of the picker: the strategy, how long, and when to choose it. */
export interface StrategyChoice {
  readonly strategy: Strategy;
  readonly label: string;
  readonly description: string;
  readonly detail: string;
}

/** @param strategies those that the recipe is for */
export function strategyChoices(strategies: readonly Strategy[], estimate: EstimateState, l10n: Localiser): StrategyChoice[] {
  return strategies.map((strategy) => ({ strategy, label: strategy, description: describe(strategy, estimate, l10n), detail: whenToChoose(strategy, l10n) }));
}

function describe(strategy: Strategy, estimate: EstimateState, l10n: Localiser): string {
  if (estimate === 'estimating') return l10n.t('estimating');
  const seconds = estimate === 'unknown' ? undefined : estimate[strategy]?.seconds;
  return estimate === 'unknown' || seconds === undefined ? '' : estimateText(seconds, estimate.device, l10n);
}

function whenToChoose(strategy: Strategy, l10n: Localiser): string {
  switch (strategy) {
    case 'freeze': return l10n.t('Only the last layer learns: for a first answer, and for few photographs.');
    case 'finetune': return l10n.t('Every layer learns: for images unlike photographs, or when freeze is not enough.');
    case 'scratch': return l10n.t('Every layer learns, from a random start: to see what pretraining is worth. Needs many images.');
  }
}

/** `about 12 min on this CPU` */
export function estimateText(seconds: number, device: string, l10n: Localiser): string {
  const time = roughTime(seconds, l10n);
  return device.startsWith('CPU') ? l10n.t('about {0} on this CPU', time) : l10n.t('about {0} on this GPU', time);
}

/** A time as exact as an estimate is: `20 s`, `12 min`, `2.5 h`. */
export function roughTime(duration: number, l10n: Localiser): string {
  if (duration < 55) return l10n.t('{0} s', Math.max(5, Math.round(duration / 5) * 5));
  if (duration < 89.5 * 60) return l10n.t('{0} min', Math.max(1, Math.round(duration / 60)));
  const hours = duration / 3600;
  return l10n.t('{0} h', hours < 9.75 ? String(Math.round(hours * 2) / 2) : Math.round(hours));
}

/** The question to ask before a run of this strategy, or undefined when it may start at once. */
export function questionBefore(strategy: Strategy, estimate: EstimateState, l10n: Localiser): string | undefined {
  const seconds = typeof estimate === 'string' ? undefined : estimate[strategy]?.seconds;
  if (typeof estimate === 'string' || seconds === undefined || seconds <= ASK_ABOVE_SECONDS) return undefined;
  return l10n.t('{0} takes {1}. Train all the same?', strategy, estimateText(seconds, estimate.device, l10n));
}
