// What the finished runs of a study come to: each cell's mean with its interval, and the tests between cells.
import { createHash } from 'node:crypto';
import { twoWayBootstrap } from '../metrics/bootstrap.js';
import { wilsonInterval } from '../metrics/intervals.js';
import { holm, mcnemarExact, pairedT, signFlipExact } from '../metrics/significance.js';
import type { RunResult } from '../protocol/run.js';
import type { StudyCell, StudyPair, StudyPlan, StudyRun, TestedStudyPair, UntestedReason } from '../protocol/study.js';
import { SeededRandom } from '../training/random.js';
import { needsFeatures } from '../training/recipes.js';
import { cellKey, featuresOf, placeKey, plannedCells, plannedRecipe } from './plan.js';

/** Fewer seeds than this say too little about how runs differ by seed. */
export const SEEDS_FOR_SPREAD = 3;

/** Whether a run is right, image by image. */
export interface ImageAnswers {
  /** Names the images and their order: two runs with the same value answered for the same images. */
  readonly images: string;
  /** [images] 1 where it is right. */
  readonly right: Uint8Array;
}

/** A run of the study that has a result. */
export interface FinishedRun {
  readonly planned: StudyRun;
  readonly result: RunResult;
  /** `data.fingerprint` of its record: runs with another one learned from other images, also where they were scored on the same. */
  readonly fingerprint: string | undefined;
  /** Undefined when its predictions can't be read. */
  readonly answers: ImageAnswers | undefined;
}

/** Answers in the order of the images' names. */
export function imageAnswers(right: ReadonlyMap<string, boolean>): ImageAnswers {
  const names = [...right.keys()].sort();
  return { images: createHash('sha256').update(names.join('\n')).digest('hex'), right: Uint8Array.from(names, (image) => (right.get(image) === true ? 1 : 0)) };
}

/** Cells and pairs of a study. Intervals and tests that were computed for the same runs before are taken from `memory`. */
export function studyResults(plan: StudyPlan, finished: readonly FinishedRun[], memory: Map<string, unknown> = new Map()): { readonly cells: StudyCell[]; readonly pairs: StudyPair[] } {
  const byCell = new Map<string, FinishedRun[]>();
  for (const run of [...finished].sort((a, b) => a.planned.seed - b.planned.seed)) byCell.set(cellKey(run.planned), [...byCell.get(cellKey(run.planned)) ?? [], run]);
  const cells = plannedCells(plan).map((place): StudyCell => {
    const runs = byCell.get(cellKey(place)) ?? [];
    // What is decoded alone and what is turned into features take different times.
    const kind = startsFromFeatures(plan, place);
    const sharing = finished.filter(({ planned, fingerprint }) => featuresOf(planned) === featuresOf(place) && startsFromFeatures(plan, planned) === kind && fingerprint === runs[0]?.fingerprint);
    return { ...place, ...scoresOf(runs, memory), ...(sawOneSplit(runs) && timesOf(runs, sharing)) };
  });
  const untested = plannedPairs(plan).map((pair) => {
    const sides = [pair.first, pair.second].map((side) => byCell.get(cellKey({ ...pair, ...side })) ?? []);
    return { pair, tested: testPair(sides[0] ?? [], sides[1] ?? [], memory) };
  });
  const corrected = holm(untested.flatMap(({ tested }) => ('p' in tested ? [tested.p] : [])));
  let next = 0;
  const pairs = untested.map(({ pair, tested }): StudyPair => ('p' in tested ? { ...pair, ...tested, pHolm: corrected[next++] ?? 1 } : { ...pair, ...tested }));
  return { cells, pairs };
}

function startsFromFeatures(plan: StudyPlan, { strategy, backbone }: Pick<StudyRun, 'strategy' | 'backbone'>): boolean {
  const recipe = plannedRecipe(plan, { strategy, backbone });
  return recipe !== undefined && needsFeatures(recipe);
}

/** What is held against what: within a dataset and a backbone, cells that differ in one thing. */
function plannedPairs(plan: StudyPlan): Pick<TestedStudyPair, 'contrast' | 'dataset' | 'backbone' | 'first' | 'second'>[] {
  const has = (strategy: StudyPlan['strategies'][number]): boolean => plan.strategies.includes(strategy);
  return plan.datasets.flatMap((_, dataset) => plan.backbones.flatMap((backbone) => [
    ...(has('finetune') && has('freeze') ? plan.colours.map((colour) => (
      { contrast: 'strategy' as const, dataset, backbone, first: { strategy: 'finetune' as const, colour }, second: { strategy: 'freeze' as const, colour } })) : []),
    ...(has('finetune') && has('scratch') ? plan.colours.map((colour) => (
      { contrast: 'pretraining' as const, dataset, backbone, first: { strategy: 'finetune' as const, colour }, second: { strategy: 'scratch' as const, colour } })) : []),
    ...(plan.colours.includes('rgb') && plan.colours.includes('gray') ? plan.strategies.map((strategy) => (
      { contrast: 'colour' as const, dataset, backbone, first: { strategy, colour: 'rgb' as const }, second: { strategy, colour: 'gray' as const } })) : []),
  ]));
}

function scoresOf(runs: readonly FinishedRun[], memory: Map<string, unknown>): Omit<StudyCell, 'dataset' | 'strategy' | 'colour' | 'backbone'> {
  const seeds = runs.map(({ planned }) => planned.seed);
  const accuracies = runs.map(({ result }) => result.accuracy);
  const [first] = runs;
  if (first === undefined || !sawOneSplit(runs)) return { seeds, accuracies };
  const common = { seeds, accuracies, ...(first.fingerprint !== undefined && { fingerprint: first.fingerprint }), mean: meanOf(accuracies), images: first.result.total, split: first.result.accuracySplit };
  const rows = sameImages(runs);
  if (rows === undefined || rows.length < SEEDS_FOR_SPREAD) return { ...common, ...widestWilson(runs) };
  const interval = remembered(memory, `cell ${nameOf(runs)}`, () => twoWayBootstrap(rows, new SeededRandom(0, 'bootstrap')));
  // Where every run is right everywhere there is nothing to draw from, and no width: that is no certainty.
  return interval[0] < interval[1] ? { ...common, interval, intervalBy: 'bootstrap' } : { ...common, ...widestWilson(runs) };
}

function widestWilson(runs: readonly FinishedRun[]): Required<Pick<StudyCell, 'interval' | 'intervalBy'>> {
  const ends = runs.map(({ result }) => wilsonInterval(result.correct, result.total));
  return { interval: [Math.min(...ends.map(([low]) => low)), Math.max(...ends.map(([, high]) => high))], intervalBy: 'wilson' };
}

/** What one run would take by itself, on average. */
function timesOf(runs: readonly FinishedRun[], sharing: readonly FinishedRun[]): Pick<StudyCell, 'seconds' | 'cached'> {
  if (runs.length === 0) return {};
  const features = Math.max(0, ...sharing.map(({ planned }) => planned.featureSeconds ?? 0));
  const rest = runs.map(({ planned, result }) => Math.max(0, (planned.seconds ?? result.seconds) - (planned.featureSeconds ?? 0)));
  const computed = sharing.flatMap((run) => featuresComputedBy(run) ?? []);
  const cached = computed.length > 0 && computed.every((images) => images === 0);
  return { seconds: meanOf(rest) + features, ...(cached && { cached }) };
}

/** Images whose features a run computed; of an older run, none or some, as its speed says. */
function featuresComputedBy({ result: { featuresComputed, imagesPerSecondOf } }: FinishedRun): number | undefined {
  return featuresComputed ?? (imagesPerSecondOf === 'cached features' ? 0 : imagesPerSecondOf === 'features' ? 1 : undefined);
}

type Tested = Omit<TestedStudyPair, 'contrast' | 'dataset' | 'backbone' | 'first' | 'second' | 'pHolm'>;

function testPair(first: readonly FinishedRun[], second: readonly FinishedRun[], memory: Map<string, unknown>): Tested | { readonly untested: UntestedReason } {
  const shared = first.flatMap((one) => {
    const other = second.find(({ planned }) => planned.seed === one.planned.seed);
    return other === undefined ? [] : [{ one, other }];
  });
  if (shared.length === 0) return { untested: 'no-result' };
  const runs = shared.flatMap(({ one, other }) => [one, other]);
  if (!sawOneSplit(runs)) return { untested: 'other-split' };
  if (runs.some(({ answers }) => answers === undefined)) return { untested: 'no-predictions' };
  if (sameImages(runs) === undefined || new Set(runs.map(({ result }) => result.accuracySplit)).size > 1) return { untested: 'other-images' };
  return remembered(memory, `pair ${nameOf(runs)}`, () => test(shared));
}

/**
 * Over seeds two questions are asked, and both must be answered: would other images show the difference too (the sign-flip test over images, these
 * runs taken as given), and would other seeds (Student's paired test over seeds, these images taken as given)? The larger p is the test of both at once:
 * R. L. Berger, 'Multiparameter Hypothesis Testing and Acceptance Sampling', Technometrics 24 (1982). With one or two seeds only the first is asked.
 */
function test(shared: readonly { readonly one: FinishedRun; readonly other: FinishedRun }[]): Tested {
  const differences = shared.map(({ one, other }) => Int8Array.from(one.answers?.right ?? [], (right, image) => right - (other.answers?.right[image] ?? 0)));
  const images = differences[0]?.length ?? 0;
  const perSeed = shared.map(({ one }, index) => {
    const onlyFirst = differences[index]?.filter((value) => value > 0).length ?? 0;
    const onlySecond = differences[index]?.filter((value) => value < 0).length ?? 0;
    return { seed: one.planned.seed, onlyFirst, onlySecond, p: mcnemarExact(onlyFirst, onlySecond) };
  });
  const pImages = signFlipExact(Array.from({ length: images }, (_, image) => differences.reduce((sum, row) => sum + (row[image] ?? 0), 0)));
  // In images, so that equal differences are equal to the last digit.
  const counts = perSeed.map(({ onlyFirst, onlySecond }) => onlyFirst - onlySecond);
  const enough = shared.length >= SEEDS_FOR_SPREAD;
  const pSeeds = enough ? pairedT(counts).p : undefined;
  const interval = enough ? twoWayBootstrap(differences, new SeededRandom(0, 'bootstrap')) : undefined;
  return {
    seeds: perSeed.map(({ seed }) => seed), images, difference: meanOf(counts) / images,
    ...(interval !== undefined && interval[0] < interval[1] && { interval }), // runs that never differ leave nothing to draw from
    perSeed, pImages, ...(pSeeds !== undefined && { pSeeds }), p: Math.max(pImages, pSeeds ?? 0),
  };
}

/** As for a comparison of runs: what differs between runs on other images is not only what the study varies. One run alone is itself. */
function sawOneSplit(runs: readonly FinishedRun[]): boolean {
  const seen = new Set(runs.map(({ fingerprint }) => fingerprint));
  return runs.length < 2 || (seen.size === 1 && !seen.has(undefined));
}

/** The answers, one row a run, if all are there and of the same images. */
function sameImages(runs: readonly FinishedRun[]): Uint8Array[] | undefined {
  const images = new Set(runs.map(({ answers }) => answers?.images));
  return images.size !== 1 || images.has(undefined) ? undefined : runs.flatMap(({ answers }) => answers?.right ?? []);
}

function nameOf(runs: readonly FinishedRun[]): string {
  return runs.map(({ planned }) => `${placeKey(planned)} ${planned.run ?? ''}`).join(', ');
}

function remembered<T>(memory: Map<string, unknown>, key: string, compute: () => T): T {
  if (!memory.has(key)) memory.set(key, compute());
  return memory.get(key) as T;
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
