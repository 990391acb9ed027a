// From what is asked for to a study folder: the one in which it was begun before, or a new one.
import path from 'node:path';
import { ThawError } from '../protocol/errors.js';
import type { BackboneName, Colour, Recipe, Strategy } from '../protocol/run.js';
import { MOST_DATASETS, MOST_RUNS, MOST_SEEDS, type StudyPlan, type StudyRecord, type StudyRun } from '../protocol/study.js';
import { newNonce } from '../runs/processIdentity.js';
import { plannedRecipe, plannedRuns, planKey } from './plan.js';
import { studyResults } from './results.js';
import { createStudyFolder, listStudies, newStudyId, readStudyRecord, resolveStored, storedPath, StudyWriter } from './studyFolder.js';

/** Characters of a dataset's name. */
const MOST_NAME = 1024;

export interface StudyRequest {
  /** Absolute, real paths. */
  readonly datasets: readonly { readonly folder: string; readonly runsFolder: string }[];
  readonly strategies: readonly Strategy[];
  readonly colours: readonly Colour[];
  readonly backbones: readonly BackboneName[];
  readonly seeds: number;
  readonly recipe: string;
  readonly recipes: readonly { readonly strategy: Strategy; readonly backbone: BackboneName; readonly recipe: Recipe }[];
}

/**
 * The newest study of the same plan, or else a new folder with one, which takes up the runs that earlier studies have finished: with more seeds, or in
 * gray too, only what is new is trained. Its datasets may have moved with their workspace since: paths inside it are relative.
 * @param options.fresh a new one with runs of its own, whatever there is
 * @throws ThawError `study-too-large`
 */
export async function startStudy(studiesFolder: string, request: StudyRequest, options: { readonly minutes: number | undefined; readonly fresh?: boolean }): Promise<{ readonly directory: string; readonly found: StudyRecord | undefined }> {
  refuseTooLarge(request);
  const names = distinctNames(request.datasets.map(({ folder }) => folder));
  const plan: StudyPlan = {
    datasets: request.datasets.map(({ folder, runsFolder }, index) => ({ name: names[index] ?? '', path: storedPath(folder, studiesFolder), runs: storedPath(runsFolder, studiesFolder) })),
    strategies: [...request.strategies], colours: [...request.colours], backbones: [...request.backbones], seeds: request.seeds, splitSeed: 0, recipe: request.recipe, recipes: [...request.recipes],
  };
  const earlier = new Map<string, StudyRun>();
  if (options.fresh !== true) {
    for await (const study of readStudies(studiesFolder)) {
      if (isOfPlan(study, plan)) return { directory: study.directory, found: study.record };
      takeFinishedRuns(study, earlier);
    }
  }
  const now = new Date();
  const { cells, pairs } = studyResults(plan, []);
  const record: StudyRecord = {
    schemaVersion: 1, id: newStudyId(now), createdAt: now.toISOString(), state: 'waiting', plan, ...(options.minutes !== undefined && { minutes: options.minutes }),
    runs: plannedRuns(plan, 'seeds last').map((run) => {
      const done = earlier.get(runKey(plan, run, (stored) => resolveStored(stored, path.join(path.resolve(studiesFolder), 'new'))));
      return done === undefined ? run : { ...done, dataset: run.dataset, takenUp: true };
    }),
    cells, pairs,
  };
  return { directory: await createStudyFolder(studiesFolder, record), found: undefined };
}

/**
 * Gives a study that nobody executes another limit, or none.
 * @throws ThawError `run-is-locked` while somebody does, `study-unreadable`, `unsafe-path`
 */
export async function limitStudy(directory: string, minutes: number | undefined, within: string): Promise<void> {
  const writer = await StudyWriter.open(directory, { nonce: newNonce(), within });
  try {
    await writer.update({ minutes });
  } finally {
    await writer.close();
  }
}

/** Each folder's name; where several have the same, with as much of the path before it as tells them apart: `a/photos` and `b/photos`, `emoji`. */
export function distinctNames(folders: readonly string[]): string[] {
  const parts = folders.map((folder) => folder.split(path.sep).filter(Boolean));
  const tail = (index: number, length: number): string => (parts[index] ?? []).slice(-length).join('/');
  return folders.map((_, index) => {
    const isShared = (length: number): boolean => folders.some((__, other) => other !== index && tail(other, length) === tail(index, length));
    const all = parts[index]?.length ?? 0;
    let length = 1;
    while (length < all && isShared(length)) length += 1;
    return tail(index, length).slice(-MOST_NAME);
  });
}

/** What study.json can't hold is refused before anything is made. */
function refuseTooLarge({ datasets, strategies, colours, backbones, seeds }: StudyRequest): void {
  const refuse = (message: string, next: string): never => { throw new ThawError('input', 'study-too-large', message, next); };
  if (datasets.length > MOST_DATASETS) refuse(`${datasets.length} folders are too many for one study`, `Choose at most ${MOST_DATASETS}`);
  if (seeds > MOST_SEEDS) refuse(`${seeds} seeds are too many for one study`, `Choose at most ${MOST_SEEDS}`);
  const runs = datasets.length * strategies.length * colours.length * backbones.length * seeds;
  if (runs > MOST_RUNS) {
    refuse(`${datasets.length} folders × ${strategies.length} strategies × ${colours.length} colours × ${backbones.length} networks × ${seeds} seeds are ${runs} runs; one study holds ${MOST_RUNS}`, 'Choose fewer seeds, or make several studies');
  }
}

interface ReadStudy {
  readonly directory: string;
  readonly record: StudyRecord;
}

/** The studies of a folder, the newest first, without those that can't be read or whose paths lead out of their workspace: these are none of ours. */
async function* readStudies(studiesFolder: string): AsyncGenerator<ReadStudy> {
  for (const directory of await listStudies(studiesFolder)) {
    const read = await readStudyRecord(directory);
    if ('reason' in read) continue;
    try {
      for (const { path: stored, runs } of read.record.plan.datasets) for (const each of [stored, runs]) resolveStored(each, directory);
    } catch {
      continue;
    }
    yield { directory, record: read.record };
  }
}

function isOfPlan({ directory, record }: ReadStudy, plan: StudyPlan): boolean {
  const resolve = (stored: string): string => resolveStored(stored, directory);
  return planKey(record.plan, resolve) === planKey(plan, resolve);
}

/** Adds a study's finished runs by what they are. Whether their folders are there still, and saw the images that are there now, is looked at when the study begins. */
function takeFinishedRuns({ directory, record: { plan, runs } }: ReadStudy, found: Map<string, StudyRun>): void {
  for (const run of runs) {
    if (run.state !== 'finished' || run.run === undefined) continue;
    const key = runKey(plan, run, (stored) => resolveStored(stored, directory));
    if (!found.has(key)) found.set(key, run);
  }
}

/** Names all that a run's result depends on, but for the images: equal for the runs of two studies that ask for the same. */
function runKey(plan: StudyPlan, { dataset, strategy, colour, backbone, seed }: StudyRun, resolve: (stored: string) => string): string {
  const { path: stored = '', runs = '' } = plan.datasets[dataset] ?? {};
  return JSON.stringify([resolve(stored), resolve(runs), plan.splitSeed, strategy, colour, backbone, seed, plannedRecipe(plan, { strategy, backbone })]);
}
