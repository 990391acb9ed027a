// What the Compare tab says, as plain data: how runs are told apart, and the words of each pair.
import { formatAccuracy, formatDifference, formatPValue, MISSING } from '../metrics/format.js';
import type { Comparison } from '../protocol/comparison.js';
import type { RunSnapshot } from '../protocol/snapshot.js';
import { strategyName } from '../runs/strategyName.js';
import { capitalised, isTested, runNames, SIGNIFICANCE } from '../runs/verdict.js';
import { markOf, marksOf, type Mark } from './marks.js';
import { isLive, networkTitle } from './runView.js';
import { t, WORDS } from './words.js';

export interface ComparedRun {
  readonly run: RunSnapshot;
  /** Tells the run from every other one here, as the verdict does: `freeze`, `finetune with seed 1, so far`. */
  readonly label: string;
  readonly mark: Mark;
  readonly live: boolean;
  /** The result's, or the best so far on validation. */
  readonly accuracy?: number;
  readonly interval?: readonly [number, number];
  readonly onTest: boolean;
  readonly bestEpoch?: number;
}

export interface ComparedPair {
  readonly label: string;
  readonly difference: string;
  readonly onlyFirst: string;
  readonly onlySecond: string;
  readonly p: string;
  readonly verdict: string;
  readonly significant: boolean;
}

function alike(values: readonly unknown[]): boolean {
  return new Set(values).size <= 1;
}

export function comparedRuns(runs: readonly RunSnapshot[]): ComparedRun[] {
  const labels = runNames(runs, WORDS);
  // The fill goes by age, not by rank, so that a run keeps its mark while the ranking changes.
  const byAge = [...runs].sort((a, b) => a.record.createdAt.localeCompare(b.record.createdAt) || a.record.id.localeCompare(b.record.id));
  const fills = marksOf(byAge.map(({ record }) => record.configuration));
  const marks = new Map(byAge.map((run, index) => [run, fills[index]]));
  return runs.map((run, index) => {
    const { result, configuration } = run.record;
    const best = run.best === undefined ? undefined : run.epochs[run.best];
    const live = isLive(run.state);
    const numbers = result ? { accuracy: result.accuracy, interval: result.interval } : best ? { accuracy: best.validation.accuracy, interval: best.interval } : {};
    const label = labels[index] ?? strategyName(configuration, WORDS);
    return {
      run, label: live ? t('{0}, so far', label) : label, mark: marks.get(run) ?? markOf(configuration), live, ...numbers,
      onTest: result?.accuracySplit === 'test', ...(best && { bestEpoch: best.epoch }),
    };
  });
}

export function comparedPairs(comparison: Comparison, runs: readonly ComparedRun[]): ComparedPair[] {
  const labelOf = (key: string) => runs.find(({ run }) => run.record.id === key || run.directory === key)?.label ?? key;
  return comparison.pairs.map((pair) => {
    const [first, second] = [labelOf(pair.first), labelOf(pair.second)];
    const label = t('{0} against {1}', first, second);
    if (!isTested(pair)) {
      return { label, difference: MISSING, onlyFirst: MISSING, onlySecond: MISSING, p: MISSING, verdict: t('No test. {0}', pair.reason), significant: false };
    }
    const significant = pair.pHolm < SIGNIFICANCE;
    const better = pair.onlyFirstRight > pair.onlySecondRight ? first : second;
    return {
      label,
      difference: formatDifference((pair.onlyFirstRight - pair.onlySecondRight) / pair.images),
      onlyFirst: String(pair.onlyFirstRight),
      onlySecond: String(pair.onlySecondRight),
      p: formatPValue(pair.pHolm),
      verdict: significant ? capitalised(t('{0} is better', better)) : t('No detectable difference'),
      significant,
    };
  });
}

/** What the runs differ in, if it is one thing: how they learned, or what they saw. */
export function comparisonTitle(runs: readonly ComparedRun[]): string {
  const strategies = new Set(runs.map(({ run }) => run.record.configuration.strategy));
  const colours = new Set(runs.map(({ run }) => run.record.configuration.colour));
  if (strategies.size === 2 && colours.size === 1) return strategies.has('scratch') ? t('Pretrained or from scratch') : t('Freeze or finetune');
  if (strategies.size === 1 && colours.size === 2) return t('Colour or gray');
  return t('Runs compared');
}

/** The line under the title: what the runs have in common, and where they differ. */
export function comparisonFacts(runs: readonly ComparedRun[]): { device: string; facts: string[] } {
  const records = runs.map(({ run }) => run.record);
  const devices = records.map((record) => record.environment?.device.name ?? MISSING);
  const seeds = records.map((record) => record.configuration.seed);
  const epochs = records.map((record) => record.configuration.recipe.epochs);
  const fingerprints = records.map((record) => record.data?.fingerprint);
  const known = records.find((record) => record.data)?.data;
  const onTest = runs.some((run) => run.onTest);
  const scored = known && (onTest ? known.test : known.validation);
  const backbones = [...new Set(records.map((record) => networkTitle(record.configuration)))].join(', ');
  return {
    device: alike(devices) ? devices[0] ?? MISSING : t('different devices'),
    facts: [
      [backbones, alike(epochs) ? t('{0} epochs', epochs[0] ?? 0) : t('different numbers of epochs'), alike(seeds) ? t('seed {0}', seeds[0] ?? 0) : t('different seeds')].join(', '),
      fingerprints.some((fingerprint) => fingerprint === undefined) ? t('split not known yet for every run')
        : !alike(fingerprints) ? t('the runs were scored on different splits')
          : onTest ? t('same {0} test images in every run', scored ?? 0) : t('same {0} validation images in every run', scored ?? 0),
    ],
  };
}

/** What the chart says to a screen reader. */
export function comparisonSummary(runs: readonly ComparedRun[]): string {
  return `${runs.map(({ label, accuracy }) => t('{0} {1}', label, formatAccuracy(accuracy))).join(', ')}.`;
}
