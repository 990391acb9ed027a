// The study's job: one run after the other, in this process, so that TensorFlow is loaded once and each run finds the features of those before it.
// Every run is an ordinary run folder. study.json says which runs there are to be and how far each is; with the run folders it is all that a
// resumed study needs.
import path from 'node:path';
import { realpath } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { assembleDataset } from '../dataset/assemble.js';
import { hashImages } from '../dataset/hashing.js';
import { listDataset } from '../dataset/listing.js';
import type { ReadDataset } from '../dataset/readDataset.js';
import { loadEngine, type Engine } from '../engine/load.js';
import { graphFor } from '../network/architectures.js';
import { featureWidth } from '../training/features.js';
import { findWeights } from '../network/weights/cache.js';
import { ThawError } from '../protocol/errors.js';
import type { TrainerEvent } from '../protocol/events.js';
import { ENGLISH } from '../protocol/localiser.js';
import type { Failure, Recipe, RunRecord } from '../protocol/run.js';
import type { StudyCell, StudyRecord, StudyRun } from '../protocol/study.js';
import type { RunSnapshot } from '../protocol/snapshot.js';
import { answersOf } from '../runs/compareRuns.js';
import { storedDatasetPath } from '../runs/datasetFolder.js';
import { waitForDevice } from '../runs/deviceQueue.js';
import { isUnreadable, readPredictions, readRun } from '../runs/readRun.js';
import { createRunFolder, newRunId } from '../runs/runFolder.js';
import { RunWriter } from '../runs/runWriter.js';
import { beyondBudget, cellKey, featuresOf, isOutOfTime, placeKey, plannedRecipe, plannedRuns, seedsWithin, trimmedRuns } from '../study/plan.js';
import { imageAnswers, studyResults, type FinishedRun } from '../study/results.js';
import { resolveStored, type StudyWriter } from '../study/studyFolder.js';
import { preprocessingFor } from './backbone.js';
import { cacheCapBytes, configuredThreads, deviceQueue } from './environment.js';
import { PaceMeter, runSeconds, type Pace } from './pace.js';
import { Stopped, unlessStopped } from './stopping.js';
import { train } from './train.js';

/** What a study says while it works. */
export type StudyEvent =
  | { readonly type: 'phase'; readonly message: string }
  | { readonly type: 'estimate'; readonly seconds: number; readonly runs: number; readonly device: string }
  | { readonly type: 'trimmed'; readonly seeds: number; readonly of: number; readonly minutes: number }
  /** What one seed alone is estimated at, seconds, where that is more than there is. */
  | { readonly type: 'too-long'; readonly seconds: number; readonly minutes: number }
  | { readonly type: 'taken-up'; readonly runs: number }
  | { readonly type: 'run'; readonly index: number; readonly planned: StudyRun; readonly directory: string }
  | { readonly type: 'progress'; readonly index: number; readonly event: TrainerEvent }
  | { readonly type: 'cell'; readonly cell: StudyCell }
  | { readonly type: 'failed'; readonly index: number; readonly planned: StudyRun; readonly failure: Failure }
  | { readonly type: 'left-out'; readonly runs: number; readonly minutes: number };

export interface RunStudyOptions {
  /** The nonce under which the study was opened: its runs are claimed by the same process. */
  readonly nonce: string;
  readonly environment: NodeJS.ProcessEnv;
  stopRequested?(): boolean;
  onEvent?(event: StudyEvent): void;
}

/**
 * Executes a study to its end, from wherever it is. A run that fails is recorded and the others go on; when asked to stop it leaves the study `stopped`,
 * to be resumed.
 * @throws ThawError when nothing can be run at all: `weights-missing`, `engine-missing`, a dataset folder that is none
 */
export async function runStudy(writer: StudyWriter, options: RunStudyOptions): Promise<StudyRecord> {
  const job = new StudyJob(writer, options);
  try {
    await job.run();
  } catch (error) {
    if (error instanceof Stopped) {
      // One that had ended well, and was only being looked at, has its results still.
      if (writer.record.state !== 'finished') await job.conclude('stopped');
    } else {
      await writer.update({ state: 'failed', endedAt: new Date().toISOString(), failure: failureOf(error) });
      throw error;
    }
  }
  return writer.record;
}

class StudyJob {
  private readonly finished = new Map<number, FinishedRun>();
  private readonly memory = new Map<string, unknown>();
  /** Of each dataset, once looked at; undefined where the folder can't be read. */
  private readonly contents: Promise<ReadDataset | undefined>[] = [];
  private environment: NodeJS.ProcessEnv;

  constructor(private readonly writer: StudyWriter, private readonly options: RunStudyOptions) {
    this.environment = options.environment;
  }

  async run(): Promise<void> {
    const { writer } = this;
    if (writer.record.state === 'finished' && await this.isDone()) return;
    const isNew = writer.record.startedAt === undefined;
    await writer.update({ state: 'starting', startedAt: writer.record.startedAt ?? new Date().toISOString(), endedAt: undefined, failure: undefined });
    await this.requireAll();
    // One GPU for all runs: the engine is loaded once.
    const queue = await deviceQueue(this.environment);
    this.environment = queue.environment;
    await this.adopt();
    if (isNew && this.finished.size > 0) this.say({ type: 'taken-up', runs: this.finished.size });
    if (writer.record.estimate === undefined) await this.estimate(queue.name);
    await this.trim();
    await this.saveResults();
    await writer.update({ state: 'running' });
    for (const [index, planned] of writer.record.runs.entries()) {
      if (planned.state !== 'planned') continue;
      if (this.stopRequested()) throw new Stopped();
      if (this.isOutOfTime(planned)) {
        await this.change(index, { state: 'leftOut' });
        continue;
      }
      await this.execute(index);
    }
    await this.conclude('finished');
  }

  /** Whether all that there is time for has its result still: then nothing is computed, so neither weights nor datasets need be there. */
  private async isDone(): Promise<boolean> {
    const { runs, estimate, minutes } = this.writer.record;
    for (const planned of runs) {
      if (planned.state !== 'leftOut' && (planned.state !== 'finished' || await this.readFinished(planned) === undefined)) return false;
    }
    const waiting = runs.map((run): StudyRun => (run.state === 'leftOut' ? { ...run, state: 'planned' } : run));
    if (waiting.every(({ state }) => state === 'finished')) return true;
    if (minutes === undefined || estimate === undefined) return false;
    // There may be more time now than when they were left out.
    return this.trimmed(waiting, minutes).runs.every((run) => run.state !== 'planned' || this.isOutOfTime(run));
  }

  /** What would make every run fail is said before the first. */
  private async requireAll(): Promise<void> {
    const { plan } = this.writer.record;
    for (const backbone of plan.backbones) {
      if (plan.strategies.some((strategy) => strategy !== 'scratch') && findWeights(backbone, this.environment) === undefined) {
        throw new ThawError('engine', 'weights-missing', `The ImageNet weights of ${backbone} are not on this machine`, `Run \`thaw weights get ${backbone}\`, or Thaw: Manage Weights… in the editor`);
      }
    }
    for (const { path: stored } of plan.datasets) await this.folder(stored);
  }

  private async folder(stored: string): Promise<string> {
    const folder = resolveStored(stored, this.writer.directory);
    await realpath(folder).catch((error: unknown) => {
      throw new ThawError('input', 'no-such-folder', `There is no folder ${folder}`, 'Put the dataset back, or start a new study without it', { cause: error });
    });
    return folder; // as the person named it, so that it lies in their workspace
  }

  private runsFolder(planned: StudyRun): string {
    const dataset = this.writer.record.plan.datasets[planned.dataset];
    if (dataset === undefined) throw new Error('a run of no dataset');
    return resolveStored(dataset.runs, this.writer.directory);
  }

  /** Takes up what earlier sessions left: finished runs count, everything else is to be done. */
  private async adopt(): Promise<void> {
    const runs: StudyRun[] = [];
    for (const [index, planned] of this.writer.record.runs.entries()) {
      const { run, failure: _failure, ...rest } = planned;
      const snapshot = planned.state === 'failed' ? undefined : await this.readFinished(planned);
      if (snapshot?.record.result === undefined) {
        const { seconds: _seconds, featureSeconds: _features, takenUp: _takenUp, ...fresh } = rest;
        runs.push({ ...fresh, state: 'planned' });
        continue;
      }
      const adopted: StudyRun = { ...rest, ...(run !== undefined && { run }), state: 'finished', seconds: planned.seconds ?? snapshot.record.result.seconds };
      runs.push(adopted);
      this.finished.set(index, await finishedRun(adopted, snapshot, this.runsFolder(planned)));
    }
    await this.writer.update({ runs });
  }

  /** The run if it has ended well, is the one that is planned, and saw the images that are there now. */
  private async readFinished(planned: StudyRun): Promise<RunSnapshot | undefined> {
    if (planned.run === undefined) return undefined;
    const runsFolder = this.runsFolder(planned);
    const run = await readRun(path.join(runsFolder, planned.run), { within: runsFolder });
    if (isUnreadable(run) || run.state !== 'finished' || run.record.result === undefined) return undefined;
    const { strategy, colour, backbone, weights, seed, splitSeed, recipe } = run.record.configuration;
    const same = strategy === planned.strategy && colour === planned.colour && backbone === planned.backbone && weights === undefined && seed === planned.seed
      && splitSeed === this.writer.record.plan.splitSeed && isDeepStrictEqual(recipe, this.recipeOf(planned));
    return same && await this.sawSameImages(run.record, planned.dataset) ? run : undefined;
  }

  /** Whether a run's images are those that its dataset holds now; true where the folder is gone, or more was left out than its record can name. */
  private async sawSameImages({ data }: RunRecord, dataset: number): Promise<boolean> {
    if (data === undefined) return false;
    this.contents[dataset] ??= this.contentsOf(dataset);
    const contents = await this.contents[dataset];
    if (contents === undefined || data.leftOutCount > data.leftOut.length) return true;
    const { splitSeed } = this.writer.record.plan;
    try {
      const leftOut = new Map(data.leftOut.map(({ path: file, reason }) => [file, reason]));
      return assembleDataset(contents.listing, contents.hashes, leftOut, { splitSeed }).fingerprint === data.fingerprint;
    } catch (error) {
      if (error instanceof ThawError) return false; // what there is now can't be trained on
      throw error;
    }
  }

  private async contentsOf(dataset: number): Promise<ReadDataset | undefined> {
    const { datasets, splitSeed } = this.writer.record.plan;
    try {
      return await unlessStopped(() => this.stopRequested(), async (signal) => {
        const listing = await listDataset(resolveStored(datasets[dataset]?.path ?? '', this.writer.directory), { signal });
        return { listing, hashes: await hashImages(listing, { splitSeed, signal }) };
      });
    } catch (error) {
      if (error instanceof ThawError) return undefined;
      throw error;
    }
  }

  /** Measures a few batches of each dataset and backbone, while this process has the device. */
  private async estimate(device: string): Promise<void> {
    const { writer } = this;
    this.say({ type: 'phase', message: 'Waiting for the device' });
    const lease = await waitForDevice(device, { onPosition: () => undefined, stopRequested: () => this.stopRequested() });
    if (lease === undefined) throw new Stopped();
    try {
      this.say({ type: 'phase', message: 'Estimating how long it takes' });
      const engine = await loadEngine({ environment: this.environment, threads: configuredThreads(this.environment) });
      const seconds = await this.secondsOfRuns(engine);
      const runs = seconds.runs.map((run): StudyRun => (run.state === 'planned' ? { ...run, estimatedSeconds: seconds.of(run) } : run));
      const total = runs.reduce((sum, run) => sum + (run.state === 'planned' ? run.estimatedSeconds ?? 0 : 0), 0);
      await writer.update({ runs, estimate: { seconds: total, device: engine.device.name } });
      this.say({ type: 'estimate', seconds: total, runs: runs.filter(({ state }) => state === 'planned').length, device: engine.device.name });
    } finally {
      await lease.release();
    }
  }

  /** The runs in the order in which they will be executed, and what each is estimated to take. */
  private async secondsOfRuns(engine: Engine): Promise<{ readonly runs: readonly StudyRun[]; of(run: StudyRun): number | undefined }> {
    const { plan } = this.writer.record;
    const paces = new Map<string, Pace>();
    const missing = new Map<string, number>();
    const perTrained = new Map<string, number>();
    let cacheBytes = 0;
    for (const [dataset, { path: stored }] of plan.datasets.entries()) {
      for (const backbone of plan.backbones) {
        if (this.stopRequested()) throw new Stopped();
        let meter: PaceMeter | undefined;
        try {
          const folder = await this.folder(stored);
          const random = plan.strategies.every((strategy) => strategy === 'scratch');
          meter = await unlessStopped(() => this.stopRequested(), (signal) => PaceMeter.open({ engine, folder, network: { backbone }, environment: this.environment, random, signal }));
          paces.set(`${dataset} ${backbone}`, await meter.measure());
          for (const strategy of plan.strategies) {
            const recipe = this.recipeOf({ strategy, backbone });
            if (recipe.body === undefined) continue;
            // The network costs the same on every dataset; images that are decoded for each step don't.
            const key = trainingKey(recipe, backbone, dataset);
            if (!perTrained.has(key)) perTrained.set(key, await meter.trainingImage(recipe));
          }
          for (const colour of plan.colours) missing.set(featuresOf({ dataset, backbone, colour, strategy: 'freeze' }), await meter.missing(colour));
          const { crop } = graphFor(backbone, 1).preprocessing;
          cacheBytes += meter.images * (crop * crop * 4 + featureWidth(graphFor(backbone, 1)) * 4 * plan.colours.length);
        } catch (error) {
          if (!(error instanceof ThawError)) throw error;
          // Its runs will fail by themselves, and say so; the others need not.
          this.say({ type: 'phase', message: `No estimate for ${path.basename(stored)}: ${error.message}` });
        } finally {
          meter?.dispose();
        }
      }
    }
    const order = cacheBytes <= cacheCapBytes(this.environment) ? 'seeds last' : 'features first';
    const known = new Map(this.writer.record.runs.map((run) => [placeKey(run), run]));
    const runs = plannedRuns(plan, order).map((run) => known.get(placeKey(run)) ?? run);
    this.renumber(runs);
    // The first run on some features computes them; images are decoded once for all networks that take them alike, in colour and in gray.
    const seen = new Set<string>();
    const fresh = new Map<StudyRun, boolean | 'decoded'>();
    for (const run of runs) {
      if (run.state !== 'planned') continue; // what it has left in the cache was counted; what has left the cache since, the next run computes
      const features = featuresOf(run);
      const pixels = `${run.dataset} ${preprocessingFor(run.backbone).id}`;
      fresh.set(run, !seen.has(features) && (seen.has(pixels) && order === 'seeds last' ? 'decoded' : true));
      seen.add(features).add(pixels);
    }
    return {
      runs,
      of: (run) => {
        const pace = paces.get(`${run.dataset} ${run.backbone}`);
        if (pace === undefined) return undefined;
        const recipe = this.recipeOf(run);
        return runSeconds({ ...pace, missing: missing.get(featuresOf(run)) ?? pace.missing }, recipe, perTrained.get(trainingKey(recipe, run.backbone, run.dataset)) ?? 0, fresh.get(run) ?? false).seconds;
      },
    };
  }

  /** Finished runs by their place in another order. */
  private renumber(runs: readonly StudyRun[]): void {
    const before = [...this.finished.values()];
    this.finished.clear();
    for (const [index, run] of runs.entries()) {
      const finished = before.find(({ planned }) => placeKey(planned) === placeKey(run));
      if (finished !== undefined) this.finished.set(index, finished);
    }
  }

  private recipeOf({ strategy, backbone }: Pick<StudyRun, 'strategy' | 'backbone'>): Recipe {
    const found = plannedRecipe(this.writer.record.plan, { strategy, backbone });
    if (found === undefined) throw new ThawError('input', 'no-recipe', `The study has no recipe for ${strategy} with ${backbone}`, 'Start a new study');
    return found;
  }

  /** Leaves out the last seeds whose runs don't fit into the time, and says so. */
  private async trim(): Promise<void> {
    const { minutes, plan, runs } = this.writer.record;
    if (minutes === undefined) {
      await this.writer.update({ trimmedTo: undefined });
      return;
    }
    const trimmed = this.trimmed(runs, minutes);
    await this.writer.update(trimmed);
    const beyond = beyondBudget(runs, minutes * 60);
    if (beyond !== undefined) this.say({ type: 'too-long', seconds: beyond, minutes });
    if (trimmed.trimmedTo !== undefined) this.say({ type: 'trimmed', seeds: trimmed.trimmedTo, of: plan.seeds, minutes });
  }

  private trimmed(runs: readonly StudyRun[], minutes: number): ReturnType<typeof trimmedRuns> {
    const { seeds } = this.writer.record.plan;
    return trimmedRuns(runs, seedsWithin(minutes * 60, runs, seeds), seeds);
  }

  private isOutOfTime(planned: StudyRun): boolean {
    const { minutes, runs } = this.writer.record;
    return minutes !== undefined && isOutOfTime(planned, runs, minutes * 60);
  }

  /** Trains one run in a run folder of its own. */
  private async execute(index: number): Promise<void> {
    const { writer, options } = this;
    const { plan } = writer.record;
    const planned = writer.record.runs[index];
    const dataset = planned === undefined ? undefined : plan.datasets[planned.dataset];
    if (planned === undefined || dataset === undefined) throw new Error('a run that is not planned');
    const runsFolder = this.runsFolder(planned);
    const began = performance.now();
    try {
      const folder = await this.folder(dataset.path);
      const now = new Date();
      const id = newRunId(planned.strategy, now);
      await this.change(index, { state: 'running', run: id }); // first, so that a killed study knows of the folder
      const record: RunRecord = {
        schemaVersion: 1, id, createdAt: now.toISOString(), state: 'waiting',
        dataset: { name: path.basename(folder), path: storedDatasetPath(folder, runsFolder) },
        configuration: { strategy: planned.strategy, backbone: planned.backbone, colour: planned.colour, seed: planned.seed, splitSeed: plan.splitSeed, recipe: this.recipeOf(planned) },
      };
      const directory = await createRunFolder(runsFolder, record);
      this.say({ type: 'run', index, planned, directory });
      const clock = new FeatureClock();
      const run = await RunWriter.open(directory, { nonce: options.nonce });
      try {
        await train(run, {
          dataset: folder, environment: this.environment, stopRequested: () => this.stopRequested(),
          onEvent: (event) => {
            clock.hear(event);
            this.say({ type: 'progress', index, event });
          },
        });
      } finally {
        await run.close();
      }
      const { state, result } = run.record;
      if (this.stopRequested()) throw new Stopped();
      if (state !== 'finished' || result === undefined) {
        throw new ThawError('run', 'run-stopped', `The run ${id} was stopped before its end`, 'Run the study again to train it anew');
      }
      await this.change(index, { state: 'finished', seconds: result.seconds, featureSeconds: clock.seconds });
      const snapshot = await readRun(directory, { within: runsFolder });
      const done = writer.record.runs[index];
      if (isUnreadable(snapshot) || done === undefined) throw new ThawError('run', 'run-unreadable', `The run ${id} can't be read after its end`, 'Run the study again to train it anew');
      this.finished.set(index, await finishedRun(done, snapshot, runsFolder));
    } catch (error) {
      if (error instanceof Stopped || this.stopRequested()) {
        await this.change(index, { state: 'planned' });
        throw error instanceof Stopped ? error : new Stopped();
      }
      const failure = failureOf(error);
      await this.change(index, { state: 'failed', seconds: (performance.now() - began) / 1000, failure });
      this.say({ type: 'failed', index, planned, failure });
      return;
    }
    await this.saveResults();
    const cell = writer.record.cells.find((one) => cellKey(one) === cellKey(planned));
    if (cell !== undefined) this.say({ type: 'cell', cell });
  }

  private async saveResults(): Promise<void> {
    await this.writer.update(studyResults(this.writer.record.plan, [...this.finished.values()], this.memory));
  }

  /** Writes the final state. A study none of whose runs ended well has failed. */
  async conclude(state: 'finished' | 'stopped'): Promise<void> {
    const { writer } = this;
    const { runs, minutes } = writer.record;
    const leftOut = runs.filter((run) => run.state === 'leftOut').length;
    if (state === 'finished' && leftOut > 0 && minutes !== undefined) this.say({ type: 'left-out', runs: leftOut, minutes });
    const failure = runs.find((run) => run.failure !== undefined)?.failure;
    const failed = state === 'finished' && failure !== undefined && !runs.some((run) => run.state === 'finished');
    await writer.update({ state: failed ? 'failed' : state, endedAt: new Date().toISOString(), ...(failed && { failure }) });
  }

  private async change(index: number, change: Partial<StudyRun>): Promise<void> {
    await this.writer.update({ runs: this.writer.record.runs.map((run, at) => (at === index ? { ...run, ...change } : run)) });
  }

  private say(event: StudyEvent): void {
    this.options.onEvent?.(event);
  }

  private stopRequested(): boolean {
    return this.options.stopRequested?.() === true || this.writer.stopRequested();
  }
}

/** How long a run took until its images were ready to learn from. */
class FeatureClock {
  private began: number | undefined;
  private ended: number | undefined;

  hear(event: TrainerEvent): void {
    if (event.type !== 'phase') return;
    if (event.phase === 'features') this.began ??= event.time;
    else if (this.began !== undefined) this.ended ??= event.time;
  }

  get seconds(): number {
    return this.began === undefined || this.ended === undefined ? 0 : Math.max(0, this.ended - this.began) / 1000;
  }
}

function trainingKey(recipe: Recipe, backbone: string, dataset: number): string {
  return JSON.stringify([backbone, recipe.body, recipe.batch, recipe.body?.resizedCrop === undefined ? 'any' : dataset]);
}

async function finishedRun(planned: StudyRun, snapshot: RunSnapshot, within: string): Promise<FinishedRun> {
  const { result, data } = snapshot.record;
  if (result === undefined) throw new Error('a finished run without a result');
  const answers = await answersOf(snapshot, planned.run ?? '', (run) => readPredictions(run.directory, { within }), ENGLISH);
  return { planned, result, fingerprint: data?.fingerprint, answers: 'right' in answers ? imageAnswers(answers.right) : undefined };
}

function failureOf(error: unknown): Failure {
  return error instanceof ThawError ? { code: error.code, message: error.message, next: error.next }
    : { code: 'unexpected', message: `It ended by an error that Thaw did not expect: ${error instanceof Error ? error.message : String(error)}`.slice(0, 4000), next: 'Open the log, and report it with what stands there' };
}
