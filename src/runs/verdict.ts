// What a comparison says in words. Only what was measured: a difference within noise is called none, and the faster is named only where
// both times were taken on the same device.
import { formatAccuracy, formatClock, formatCount, formatP } from '../metrics/format.js';
import type { PairedTest, UntestedPair, Verdict } from '../protocol/comparison.js';
import type { Localiser } from '../protocol/localiser.js';
import type { RunSnapshot } from '../protocol/snapshot.js';
import { strategyName } from './strategyName.js';

/** A difference with a p below this, after correction, is called one. */
export const SIGNIFICANCE = 0.05;
const MAX_PARAGRAPHS = 6;

/**
 * Names that tell runs apart, in their order: `freeze` and `finetune`, `freeze` and `freeze gray`; where that is not enough, what differs is added
 * (`freeze with seed 1`), and at last the run's id.
 */
export function runNames(runs: readonly RunSnapshot[], l10n: Localiser): string[] {
  const describe: ((run: RunSnapshot) => Detail)[] = [
    ({ record }) => ({ dataset: record.dataset.name }),
    ({ record }) => ({ trait: record.configuration.weights ?? record.configuration.backbone }),
    ({ record }) => ({ trait: l10n.t('seed {0}', record.configuration.seed) }),
    ({ record }) => ({ trait: l10n.t('split seed {0}', record.configuration.splitSeed) }),
    ({ record }) => ({ trait: l10n.t('recipe {0}', record.configuration.recipe.name) }),
    ({ record }) => ({ trait: l10n.t('{0} epochs', record.configuration.recipe.epochs) }),
    ({ record }) => ({ trait: l10n.t('batch {0}', record.configuration.recipe.batch) }),
  ];
  // Taken in turn, and only while two runs still have one name: freeze with seed 0 against finetune with seed 1 is freeze against finetune.
  let names = runs.map((): Detail[] => []);
  const full = (): string[] => runs.map((run, index) => withDetails(strategyName(run.record.configuration, l10n), names[index] ?? [], l10n));
  for (const part of describe) {
    if (isDistinct(full())) break;
    const values = runs.map(part);
    if (new Set(values.map(({ dataset, trait }) => dataset ?? trait)).size > 1) names = names.map((details, index) => [...details, values[index] ?? {}]);
  }
  const named = full();
  if (isDistinct(named)) return named;
  return named.map((name, index) => (named.filter((other) => other === name).length > 1 ? `${name} (${runs[index]?.record.id ?? ''})` : name));
}

/** What a run differs in: its dataset, or a trait in words. */
interface Detail {
  readonly dataset?: string;
  readonly trait?: string;
}

function withDetails(name: string, details: readonly Detail[], l10n: Localiser): string {
  const dataset = details.find((detail) => detail.dataset !== undefined)?.dataset;
  const traits = details.flatMap(({ trait }) => trait ?? []).join(', ');
  if (dataset === undefined) return traits === '' ? name : l10n.t('{0} with {1}', name, traits);
  return traits === '' ? l10n.t('{0} on {1}', name, dataset) : l10n.t('{0} on {1} with {2}', name, dataset, traits);
}

function isDistinct(names: readonly string[]): boolean {
  return new Set(names).size === names.length;
}

export function isTested(pair: PairedTest | UntestedPair): pair is PairedTest {
  return 'p' in pair;
}

/**
 * The verdict on runs in the order of a comparison (best first). With two it is about them; with more it tells which can't be told from the
 * best, by p-values corrected over all pairs shown.
 */
export function verdictOn(runs: readonly RunSnapshot[], pairs: readonly (PairedTest | UntestedPair)[], l10n: Localiser): Verdict {
  const names = runNames(runs, l10n);
  const name = (run: RunSnapshot): string => names[runs.indexOf(run)] ?? run.record.id;
  const [best, second] = runs;
  if (best === undefined) return { title: l10n.t('No run to compare'), body: [l10n.t('Add two runs on the same images.')] };
  if (second === undefined) return { title: l10n.t('One run, nothing to compare it with'), body: [l10n.t('Add a second run on the same images.')] };
  const unfinished = runs.filter((run) => run.record.result === undefined).map((run) => soFar(run, name(run), l10n));
  const scored = runs.filter((run) => run.record.result !== undefined);
  if (scored.length < 2) return { title: l10n.t('No verdict yet'), body: unfinished.slice(0, MAX_PARAGRAPHS) };
  const optimistic = scored.every((run) => run.record.result?.accuracySplit === 'validation');
  const noteIfAny = optimistic ? { note: l10n.t('Each accuracy is the best epoch, chosen on the same images, so slightly optimistic.') } : {};

  const tests = pairs.filter(isTested);
  const against = scored.slice(1).map((run) => ({ run, pair: pairs.find((pair) => isOf(pair, best, run)) }));
  const reasons = against.flatMap(({ pair }) => (pair !== undefined && !isTested(pair) ? [pair.reason] : []));
  const tested = against.flatMap(({ run, pair }) => (pair !== undefined && isTested(pair) ? [{ run, pair }] : []));
  if (tested.length === 0) {
    const title = l10n.t('No test: these runs can\'t be compared image by image');
    return { title, body: [...new Set([...reasons, ...unfinished])].slice(0, MAX_PARAGRAPHS), ...noteIfAny };
  }
  const level = [best, ...tested.filter(({ pair }) => pair.pHolm >= SIGNIFICANCE).map(({ run }) => run)];
  const behind = tested.filter(({ pair }) => pair.pHolm < SIGNIFICANCE).map(({ run }) => run);
  const body = tested.map(({ run, pair }) => agreement(pair, best, run, name, tests.length, l10n));
  const advice = level.length > 1 ? adviseFastest(level, name, l10n) : adviseCost(best, behind, name, l10n);
  return {
    title: titleOf(level, behind, name, l10n),
    body: [...body.slice(0, MAX_PARAGRAPHS - 1), ...(advice === undefined ? [] : [advice]), ...new Set([...reasons, ...unfinished])],
    ...noteIfAny,
  };
}

function titleOf(level: readonly RunSnapshot[], behind: readonly RunSnapshot[], name: (run: RunSnapshot) => string, l10n: Localiser): string {
  const [best, second] = level;
  if (best !== undefined && second === undefined) return capitalised(l10n.t('{0} is better here', name(best)));
  if (best !== undefined && second !== undefined && level.length === 2) return l10n.t('No detectable difference between {0} and {1}', name(best), name(second));
  return behind.length === 0 ? l10n.t('No detectable difference between these {0} runs', level.length) : l10n.t('No detectable difference between the best {0} runs', level.length);
}

/** `They are right on 147 and 146 of 153 images and disagree on 9, split 5 to 4 (McNemar p = 1.00).` */
function agreement(pair: PairedTest, first: RunSnapshot, second: RunSnapshot, name: (run: RunSnapshot) => string, tests: number, l10n: Localiser): string {
  const swapped = pair.first !== first.directory;
  const [onlyFirst, onlySecond] = swapped ? [pair.onlySecondRight, pair.onlyFirstRight] : [pair.onlyFirstRight, pair.onlySecondRight];
  const disagreements = onlyFirst + onlySecond;
  const p = tests === 1 ? l10n.t('McNemar {0}', formatP(pair.p)) : l10n.t('McNemar {0} after correction for {1} comparisons', formatP(pair.pHolm), formatCount(tests));
  const right = [formatCount(pair.bothRight + onlyFirst), formatCount(pair.bothRight + onlySecond), formatCount(pair.images)] as const;
  const split = [formatCount(disagreements), formatCount(onlyFirst), formatCount(onlySecond)] as const;
  if (tests === 1) {
    return disagreements === 0
      ? l10n.t('They are right on {0} and {1} of {2} images and never disagree ({3}).', ...right, p)
      : l10n.t('They are right on {0} and {1} of {2} images and disagree on {3}, split {4} to {5} ({6}).', ...right, ...split, p);
  }
  const who = [name(first), name(second)] as const;
  return capitalised(disagreements === 0
    ? l10n.t('{0} and {1} are right on {2} and {3} of {4} images and never disagree ({5}).', ...who, ...right, p)
    : l10n.t('{0} and {1} are right on {2} and {3} of {4} images and disagree on {5}, split {6} to {7} ({8}).', ...who, ...right, ...split, p));
}

/** How a paragraph with advice begins: `Take freeze:`. The panel sets it apart. */
export function adviceLead(name: string, l10n: Localiser): string {
  return l10n.t('Take {0}:', name);
}

/** `Take freeze: as good here, and 6 times faster.` */
function adviseFastest(level: readonly RunSnapshot[], name: (run: RunSnapshot) => string, l10n: Localiser): string | undefined {
  const timed = comparableSeconds(level);
  if (timed === undefined) return undefined;
  const [fastest, next] = [...timed].sort((a, b) => a.seconds - b.seconds);
  if (fastest === undefined || next === undefined || fastest.seconds <= 0) return undefined;
  const times = next.seconds / fastest.seconds;
  if (times < 1.5) return undefined;
  const factor = times < 3 ? times.toFixed(1) : formatCount(times);
  const why = fastest.run.record.result?.imagesPerSecondOf === 'cached features'
    ? l10n.t('as good here, and {0} times faster, from features that an earlier run had left in the cache.', factor)
    : l10n.t('as good here, and {0} times faster.', factor);
  return `${adviceLead(name(fastest.run), l10n)} ${why}`;
}

/** `Finetune took 0:37, freeze 0:06.` */
function adviseCost(best: RunSnapshot, behind: readonly RunSnapshot[], name: (run: RunSnapshot) => string, l10n: Localiser): string | undefined {
  const [best2, ...others] = comparableSeconds([best, ...behind]) ?? [];
  if (best2 === undefined || others.length === 0) return undefined;
  const times = [formatClock(best2.seconds), ...others.map(({ run, seconds }) => l10n.t('{0} {1}', name(run), formatClock(seconds)))].join(', ');
  return capitalised(l10n.t('{0} took {1}.', name(best2.run), times));
}

/** Times that may be put beside each other: all ran to their end, on one device. */
function comparableSeconds(runs: readonly RunSnapshot[]): { run: RunSnapshot; seconds: number }[] | undefined {
  const devices = new Set(runs.map(({ record }) => record.environment?.device.name));
  if (devices.size !== 1 || devices.has(undefined) || runs.some(({ state }) => state !== 'finished')) return undefined;
  const timed = runs.flatMap((run) => (run.record.result === undefined ? [] : [{ run, seconds: run.record.result.seconds }]));
  return timed.length === runs.length ? timed : undefined;
}

/** Why a run has no result, with what it has so far. */
export function soFar(run: RunSnapshot, name: string, l10n: Localiser): string {
  return capitalised(unfinishedText(run, name, l10n));
}

function unfinishedText(run: RunSnapshot, name: string, l10n: Localiser): string {
  const epoch = run.best === undefined ? undefined : run.epochs[run.best];
  const accuracy = formatAccuracy(epoch?.validation.accuracy);
  const best = epoch === undefined ? undefined
    : run.epochs.length === 1 ? l10n.t('{0} so far (best of 1 epoch)', accuracy) : l10n.t('{0} so far (best of {1} epochs)', accuracy, run.epochs.length);
  switch (run.state) {
    case 'waiting': return l10n.t('{0} is waiting for the device.', name);
    case 'starting': return l10n.t('{0} is starting.', name);
    case 'running': return best === undefined ? l10n.t('{0} is still going.', name) : l10n.t('{0} is still going, {1}.', name, best);
    case 'stopped': return best === undefined ? l10n.t('{0} was stopped before it had a result.', name) : l10n.t('{0} was stopped before it had a result, {1}.', name, best);
    case 'interrupted': return best === undefined ? l10n.t('{0} was interrupted before it had a result.', name) : l10n.t('{0} was interrupted before it had a result, {1}.', name, best);
    case 'failed': return best === undefined ? l10n.t('{0} failed before it had a result.', name) : l10n.t('{0} failed before it had a result, {1}.', name, best);
    case 'finished': return l10n.t('{0} has no result.', name);
  }
}

export function isOf(pair: { readonly first: string; readonly second: string }, a: RunSnapshot, b: RunSnapshot): boolean {
  return (pair.first === a.directory && pair.second === b.directory) || (pair.first === b.directory && pair.second === a.directory);
}

export function capitalised(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
