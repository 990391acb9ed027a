// From what a study is asked to do to the runs that it is made of, in the order in which they are executed.
import * as v from 'valibot';
import type { Recipe } from '../protocol/run.js';
import { studyPlanSchema, type StudyPlan, type StudyRecord, type StudyRun } from '../protocol/study.js';

type Place = Pick<StudyRun, 'dataset' | 'strategy' | 'colour' | 'backbone'>;

/** `features first`: all runs on the same features one after the other. `seeds last`: the whole table once, then again for the next seed. */
export type StudyOrder = 'features first' | 'seeds last';

/** Every cell of the table: by dataset, backbone and colour, so that those which share features stand together, then by strategy. */
export function plannedCells({ datasets, backbones, colours, strategies }: StudyPlan): Place[] {
  return datasets.flatMap((_, dataset) => backbones.flatMap((backbone) => colours.flatMap((colour) => strategies.map((strategy) => ({ dataset, strategy, colour, backbone })))));
}

/**
 * The runs of a study. The features of a backbone and a colour are computed by the first run that needs them, and every later one finds them in the
 * cache; so both orders cost the same while the cache holds them all. `seeds last` then shows the whole table early, and a study that is cut short
 * lacks seeds and not datasets. `features first` is for features and pixels that fill the cache.
 */
export function plannedRuns(plan: StudyPlan, order: StudyOrder): StudyRun[] {
  const cells = plannedCells(plan);
  const seeds = Array.from({ length: plan.seeds }, (_, seed) => seed);
  const run = (cell: Place, seed: number): StudyRun => ({ ...cell, seed, state: 'planned' });
  if (order === 'seeds last') return seeds.flatMap((seed) => cells.map((cell) => run(cell, seed)));
  const groups = new Map<string, Place[]>();
  for (const cell of cells) groups.set(featuresOf(cell), [...groups.get(featuresOf(cell)) ?? [], cell]);
  return [...groups.values()].flatMap((group) => seeds.flatMap((seed) => group.map((cell) => run(cell, seed))));
}

/** Whether these are the runs of the plan, each once, in whatever order. */
export function areRunsOf(plan: StudyPlan, runs: readonly StudyRun[]): boolean {
  if (runs.length !== plannedCells(plan).length * plan.seeds) return false; // before so many are made
  const planned = new Set(plannedRuns(plan, 'seeds last').map(placeKey));
  return new Set(runs.map(placeKey)).size === runs.length && runs.every((run) => planned.has(placeKey(run)));
}

/** Names what runs share: the same for all that use the same features. */
export function featuresOf({ dataset, backbone, colour }: Place): string {
  return `${dataset} ${backbone} ${colour}`;
}

/** Names a cell. */
export function cellKey(place: Place): string {
  return `${featuresOf(place)} ${place.strategy}`;
}

/** Names a run's place in the plan: its cell, and its seed. */
export function placeKey(run: Place & Pick<StudyRun, 'seed'>): string {
  return `${cellKey(run)} ${run.seed}`;
}

/** The recipe that the plan has for a strategy and a backbone; undefined where it has none. */
export function plannedRecipe({ recipes }: Pick<StudyPlan, 'recipes'>, { strategy, backbone }: Pick<StudyRun, 'strategy' | 'backbone'>): Recipe | undefined {
  return recipes.find((one) => one.strategy === strategy && one.backbone === backbone)?.recipe;
}

/** What a run takes, or is estimated to take, of its study's time, seconds. */
export function ownSeconds({ takenUp, seconds, estimatedSeconds: estimate }: StudyRun): number {
  return takenUp === true ? 0 : seconds ?? estimate ?? 0;
}

/** The most seeds whose runs are estimated to fit into the time, but at least one. */
export function seedsWithin(budgetSeconds: number, runs: readonly StudyRun[], seeds: number): number {
  for (let count = seeds; count > 1; count--) {
    const needed = runs.filter(({ seed }) => seed < count).reduce((sum, run) => sum + ownSeconds(run), 0);
    if (needed <= budgetSeconds) return count;
  }
  return 1;
}

/** Seconds of the first seed's runs where these alone don't fit into the time; else undefined. */
export function beyondBudget(runs: readonly StudyRun[], budgetSeconds: number): number | undefined {
  const needed = runs.reduce((sum, run) => sum + (run.seed === 0 ? ownSeconds(run) : 0), 0);
  return needed > budgetSeconds ? needed : undefined;
}

/**
 * The runs with those left out that don't fit, and what is said of it: the seeds that are kept, never fewer than have finished already. Undefined where
 * that is all of them.
 * @param fitting seeds whose runs fit into the time
 */
export function trimmedRuns(runs: readonly StudyRun[], fitting: number, seeds: number): { readonly runs: StudyRun[]; readonly trimmedTo: number | undefined } {
  const kept = Math.max(fitting, ...runs.filter(({ state }) => state === 'finished').map(({ seed }) => seed + 1));
  return {
    runs: runs.map((run) => (run.seed >= fitting && run.state === 'planned' ? { ...run, state: 'leftOut' } : run)),
    trimmedTo: kept < seeds ? kept : undefined,
  };
}

/**
 * Whether a run would end after the time is over, at the pace that the finished ones kept, or leave none for cells that have no run yet: the first seed
 * goes before all others, and is begun while there is any time at all.
 */
export function isOutOfTime(planned: StudyRun, runs: readonly StudyRun[], budgetSeconds: number): boolean {
  const own = runs.filter(({ takenUp }) => takenUp !== true);
  const spent = own.reduce((sum, { seconds }) => sum + (seconds ?? 0), 0);
  if (planned.seed === 0) return spent > budgetSeconds;
  const estimated = (of: (run: StudyRun) => boolean): number => estimatedSeconds(own.filter(of)) ?? 0;
  const expected = estimated(({ seconds }) => seconds !== undefined);
  const first = estimated(({ state, seed }) => state === 'planned' && seed === 0);
  return spent + (first + (planned.estimatedSeconds ?? 0)) * (expected > 0 ? spent / expected : 1) > budgetSeconds;
}

/** What these runs were estimated to take together; undefined where none was. */
export function estimatedSeconds(runs: readonly StudyRun[]): number | undefined {
  const estimates = runs.flatMap((run) => run.estimatedSeconds ?? []);
  return estimates.length === 0 ? undefined : estimates.reduce((sum, seconds) => sum + seconds, 0);
}

/** What is planned, with paths as they are resolved: equal for two studies that ask for the same. */
export function planKey(plan: StudyPlan, resolve: (stored: string) => string): string {
  const { datasets, ...rest } = v.parse(studyPlanSchema, plan); // fields in one order
  // Names follow from the paths, and change with those of the folders above.
  return JSON.stringify({ ...rest, datasets: datasets.map(({ path, runs }) => ({ path: resolve(path), runs: resolve(runs) })) });
}

/** Seconds that are left, by the estimates of what is to come, scaled by how the finished runs held to theirs. Undefined without an estimate. */
export function secondsLeft(record: StudyRecord): number | undefined {
  if (record.estimate === undefined) return undefined;
  const finished = record.runs.filter(({ state, takenUp, seconds, estimatedSeconds }) => state === 'finished' && takenUp !== true && seconds !== undefined && estimatedSeconds !== undefined);
  const sum = (runs: readonly StudyRun[], of: 'seconds' | 'estimatedSeconds'): number => runs.reduce((total, run) => total + (run[of] ?? 0), 0);
  const estimated = sum(finished, 'estimatedSeconds');
  const pace = estimated > 0 ? sum(finished, 'seconds') / estimated : 1;
  return pace * sum(record.runs.filter(({ state }) => state === 'planned' || state === 'running'), 'estimatedSeconds');
}
