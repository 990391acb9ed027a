// What a comparison says in words. Only what was measured: a difference within noise is called none, and the faster is named only where
// both times were taken on the same device.
import { formatAccuracy, formatClock, formatCount, formatP } from '../metrics/format.js';
import type { PairedTest, UntestedPair, Verdict } from '../protocol/comparison.js';
import type { RunSnapshot } from '../protocol/snapshot.js';

/** A difference with a p below this, after correction, is called one. */
export const SIGNIFICANCE = 0.05;
const MAX_PARAGRAPHS = 6;
const OPTIMISTIC = 'Each accuracy is the best epoch, chosen on the same images, so slightly optimistic.';

/**
 * Names that tell runs apart, in their order: `freeze` and `finetune`; where that is not enough, what differs is added
 * (`freeze with seed 1`), and at last the run's id.
 */
export function runNames(runs: readonly RunSnapshot[]): string[] {
  const describe: ((run: RunSnapshot) => string)[] = [
    ({ record }) => `on ${record.dataset.name}`,
    ({ record }) => record.configuration.backbone,
    ({ record }) => `seed ${record.configuration.seed}`,
    ({ record }) => `split seed ${record.configuration.splitSeed}`,
    ({ record }) => `recipe ${record.configuration.recipe.name}`,
    ({ record }) => `${record.configuration.recipe.epochs} epochs`,
    ({ record }) => `batch ${record.configuration.recipe.batch}`,
  ];
  // Taken in turn, and only while two runs still have one name: freeze with seed 0 against finetune with seed 1 is freeze against finetune.
  let names = runs.map((): string[] => []);
  const full = (): string[] => runs.map((run, index) => withDetails(run.record.configuration.strategy, names[index] ?? []));
  for (const part of describe) {
    if (isDistinct(full())) break;
    const values = runs.map(part);
    if (new Set(values).size > 1) names = names.map((details, index) => [...details, values[index] ?? '']);
  }
  const named = full();
  if (isDistinct(named)) return named;
  return named.map((name, index) => (named.filter((other) => other === name).length > 1 ? `${name} (${runs[index]?.record.id ?? ''})` : name));
}

function withDetails(strategy: string, details: readonly string[]): string {
  const [first, ...rest] = details;
  if (first === undefined) return strategy;
  const place = first.startsWith('on ');
  const others = place ? rest : details;
  return `${strategy}${place ? ` ${first}` : ''}${others.length > 0 ? ` with ${others.join(', ')}` : ''}`;
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
export function verdictOn(runs: readonly RunSnapshot[], pairs: readonly (PairedTest | UntestedPair)[]): Verdict {
  const names = runNames(runs);
  const name = (run: RunSnapshot): string => names[runs.indexOf(run)] ?? run.record.id;
  const [best, second] = runs;
  if (best === undefined) return { title: 'No run to compare', body: ['Add two runs on the same images.'] };
  if (second === undefined) return { title: 'One run, nothing to compare it with', body: ['Add a second run on the same images.'] };
  const unfinished = runs.filter((run) => run.record.result === undefined).map((run) => soFar(run, name(run)));
  const scored = runs.filter((run) => run.record.result !== undefined);
  if (scored.length < 2) return { title: 'No verdict yet', body: unfinished.slice(0, MAX_PARAGRAPHS) };
  const noteIfAny = scored.every((run) => run.record.result?.accuracySplit === 'validation') ? { note: OPTIMISTIC } : {};

  const tests = pairs.filter(isTested);
  const against = scored.slice(1).map((run) => ({ run, pair: pairs.find((pair) => isOf(pair, best, run)) }));
  const reasons = against.flatMap(({ pair }) => (pair !== undefined && !isTested(pair) ? [pair.reason] : []));
  const tested = against.flatMap(({ run, pair }) => (pair !== undefined && isTested(pair) ? [{ run, pair }] : []));
  if (tested.length === 0) {
    return { title: 'No test: these runs can\'t be compared image by image', body: [...new Set([...reasons, ...unfinished])].slice(0, MAX_PARAGRAPHS), ...noteIfAny };
  }
  const level = [best, ...tested.filter(({ pair }) => pair.pHolm >= SIGNIFICANCE).map(({ run }) => run)];
  const behind = tested.filter(({ pair }) => pair.pHolm < SIGNIFICANCE).map(({ run }) => run);
  const body = tested.map(({ run, pair }) => agreement(pair, best, run, name, tests.length));
  const advice = level.length > 1 ? adviseFastest(level, name) : adviseCost(best, behind, name);
  return {
    title: titleOf(level, behind, name),
    body: [...body.slice(0, MAX_PARAGRAPHS - 1), ...(advice === undefined ? [] : [advice]), ...new Set([...reasons, ...unfinished])],
    ...noteIfAny,
  };
}

function titleOf(level: readonly RunSnapshot[], behind: readonly RunSnapshot[], name: (run: RunSnapshot) => string): string {
  const [best] = level;
  if (best !== undefined && level.length === 1) return `${capitalised(name(best))} is better here`;
  if (level.length === 2) return `No detectable difference between ${level.map(name).join(' and ')}`;
  return `No detectable difference ${behind.length === 0 ? 'between these' : 'between the best'} ${level.length} runs`;
}

/** `They are right on 147 and 146 of 153 images and disagree on 9, split 5 to 4 (McNemar p = 1.00).` */
function agreement(pair: PairedTest, first: RunSnapshot, second: RunSnapshot, name: (run: RunSnapshot) => string, tests: number): string {
  const swapped = pair.first !== first.directory;
  const [onlyFirst, onlySecond] = swapped ? [pair.onlySecondRight, pair.onlyFirstRight] : [pair.onlyFirstRight, pair.onlySecondRight];
  const disagreements = onlyFirst + onlySecond;
  const who = tests === 1 ? 'They' : capitalised(`${name(first)} and ${name(second)}`);
  const split = disagreements === 0 ? 'never disagree' : `disagree on ${formatCount(disagreements)}, split ${formatCount(onlyFirst)} to ${formatCount(onlySecond)}`;
  const p = tests === 1 ? `McNemar ${formatP(pair.p)}` : `McNemar ${formatP(pair.pHolm)} after correction for ${formatCount(tests)} comparisons`;
  return `${who} are right on ${formatCount(pair.bothRight + onlyFirst)} and ${formatCount(pair.bothRight + onlySecond)} of ${formatCount(pair.images)} images and ${split} (${p}).`;
}

/** `Take freeze: as good here, and 6 times faster.` */
function adviseFastest(level: readonly RunSnapshot[], name: (run: RunSnapshot) => string): string | undefined {
  const timed = comparableSeconds(level);
  if (timed === undefined) return undefined;
  const [fastest, next] = [...timed].sort((a, b) => a.seconds - b.seconds);
  if (fastest === undefined || next === undefined || fastest.seconds <= 0) return undefined;
  const times = next.seconds / fastest.seconds;
  if (times < 1.5) return undefined;
  const cached = fastest.run.record.result?.imagesPerSecondOf === 'cached features' ? ', from features that an earlier run had left in the cache' : '';
  return `Take ${name(fastest.run)}: as good here, and ${times < 3 ? times.toFixed(1) : formatCount(times)} times faster${cached}.`;
}

/** `Finetune took 0:37, freeze 0:06.` */
function adviseCost(best: RunSnapshot, behind: readonly RunSnapshot[], name: (run: RunSnapshot) => string): string | undefined {
  const [best2, ...others] = comparableSeconds([best, ...behind]) ?? [];
  if (best2 === undefined || others.length === 0) return undefined;
  return `${capitalised(name(best2.run))} took ${[formatClock(best2.seconds), ...others.map(({ run, seconds }) => `${name(run)} ${formatClock(seconds)}`)].join(', ')}.`;
}

/** Times that may be put beside each other: all ran to their end, on one device. */
function comparableSeconds(runs: readonly RunSnapshot[]): { run: RunSnapshot; seconds: number }[] | undefined {
  const devices = new Set(runs.map(({ record }) => record.environment?.device.name));
  if (devices.size !== 1 || devices.has(undefined) || runs.some(({ state }) => state !== 'finished')) return undefined;
  const timed = runs.flatMap((run) => (run.record.result === undefined ? [] : [{ run, seconds: run.record.result.seconds }]));
  return timed.length === runs.length ? timed : undefined;
}

/** Why a run has no result, with what it has so far. */
export function soFar(run: RunSnapshot, name: string): string {
  const epoch = run.best === undefined ? undefined : run.epochs[run.best];
  const best = epoch === undefined ? '' : `, ${formatAccuracy(epoch.validation.accuracy)} so far (best of ${run.epochs.length === 1 ? '1 epoch' : `${run.epochs.length} epochs`})`;
  switch (run.state) {
    case 'waiting': return `${capitalised(name)} is waiting for the device.`;
    case 'starting': return `${capitalised(name)} is starting.`;
    case 'running': return `${capitalised(name)} is still going${best}.`;
    case 'stopped': return `${capitalised(name)} was stopped before it had a result${best}.`;
    case 'interrupted': return `${capitalised(name)} was interrupted before it had a result${best}.`;
    case 'failed': return `${capitalised(name)} failed before it had a result${best}.`;
    case 'finished': return `${capitalised(name)} has no result.`;
  }
}

export function isOf(pair: { readonly first: string; readonly second: string }, a: RunSnapshot, b: RunSnapshot): boolean {
  return (pair.first === a.directory && pair.second === b.directory) || (pair.first === b.directory && pair.second === a.directory);
}

export function capitalised(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
