// The study folder: where it lies, how one begins, who may write it, and how it is read. Beside the runs folder, since a study may be about several
// datasets, and its runs are runs like any other.
import { randomBytes } from 'node:crypto';
import { closeSync, constants, futimesSync } from 'node:fs';
import { readdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { ThawError } from '../protocol/errors.js';
import { RUN_ID } from '../protocol/run.js';
import { studyRecordSchema, type StudyPlan, type StudyRecord, type UnreadableStudy } from '../protocol/study.js';
import { removeEmptyFolder, type Claim } from '../runs/claims.js';
import { workspaceOf } from '../runs/datasetFolder.js';
import { assertRealFolders, assertWritableFolders, isMissing, readGuarded, UnsafePath } from '../runs/guardedFiles.js';
import { HEARTBEAT_EVERY_MS, HEARTBEAT_FILE, isLiveState, stateNow, STOP_FILE, trainerClaims, trainersOf } from '../runs/liveness.js';
import { isProvedTrainer, NONCE } from '../runs/processIdentity.js';
import { parseJson, unreadableReason } from '../runs/readRun.js';
import { makeFolderInThaw, makeIn } from '../runs/runFolder.js';
import { assertNobodyWrites, claimRun, isThere, openGuarded, removeTemporaries } from '../runs/runWriter.js';
import { ageHeartbeat, endTrainer, requestStop } from '../runs/stopRun.js';
import { writeFileAtomic } from '../storage/atomicFile.js';
import { writeFolderAtomic } from '../storage/atomicFolder.js';
import { areRunsOf } from './plan.js';

const FILE = 'study.json';
/** Largest study.json. Of 20,000 runs, as many as there may be, it takes about 10 MiB when they have finished, and 17 MiB when each has failed in long words. */
const MAX_STUDY_BYTES = 24 * 2 ** 20;
const STOP_CHECK_EVERY_MS = 100;
/** More study folders than this are not listed. */
const MOST_STUDIES = 500;

/** `<workspace>/.thaw/studies`; for a runs folder elsewhere a hidden folder in it, which no list of runs looks into. */
export function studiesFolderFor(runsFolder: string): string {
  const workspace = workspaceOf(path.resolve(runsFolder));
  return workspace === undefined ? path.join(path.resolve(runsFolder), '.studies') : path.join(workspace, '.thaw', 'studies');
}

/** The folder that holds `.thaw` for a studies folder `<folder>/.thaw/studies`; undefined for one elsewhere. */
export function workspaceOfStudies(studiesFolder: string): string | undefined {
  const thaw = path.dirname(studiesFolder);
  return path.basename(studiesFolder) === 'studies' && path.basename(thaw) === '.thaw' ? path.dirname(thaw) : undefined;
}

/** `20261124-173639-study-3f9a1c` */
export function newStudyId(now: Date): string {
  return `${now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')}-study-${randomBytes(3).toString('hex')}`;
}

/** How a study records a folder: relative to its workspace when inside it, else absolute; `/` between the parts. */
export function storedPath(folder: string, studiesFolder: string): string {
  const workspace = workspaceOfStudies(studiesFolder);
  if (workspace === undefined) return folder;
  const relative = path.relative(workspace, folder);
  if (relative === '..' || relative.startsWith(`..${path.sep}`) || path.isAbsolute(relative)) return folder;
  return relative === '' ? '.' : relative.split(path.sep).join('/');
}

/**
 * The folder that a study means.
 * @throws ThawError `dataset-outside` when a relative path leads out of the workspace
 */
export function resolveStored(stored: string, studyDirectory: string): string {
  if (path.isAbsolute(stored)) return path.normalize(stored);
  const workspace = workspaceOfStudies(path.dirname(path.resolve(studyDirectory)));
  const folder = workspace === undefined ? undefined : path.resolve(workspace, stored);
  if (workspace === undefined || folder === undefined || !(folder === workspace || folder.startsWith(workspace + path.sep))) {
    throw new ThawError('input', 'dataset-outside', `The study's folder ${JSON.stringify(stored)} lies outside its workspace`, 'Start a new study on the dataset folders themselves');
  }
  return folder;
}

/** Whether every dataset of a study lies in a folder of which `holds` is true; one whose path leads out of its workspace doesn't. */
export function allDatasetsIn({ datasets }: StudyPlan, studyDirectory: string, holds: (folder: string) => boolean): boolean {
  return datasets.every(({ path: stored }) => {
    let folder: string;
    try {
      folder = resolveStored(stored, studyDirectory);
    } catch {
      return false;
    }
    return holds(folder);
  });
}

/**
 * Makes the folder of a new study with its `study.json`. Returns its absolute path.
 * @throws ThawError `unsafe-path` when `.thaw` or `studies` is a link, `unwritable-folder`, `disk-full`
 */
export async function createStudyFolder(studiesFolder: string, record: StudyRecord): Promise<string> {
  const folder = path.resolve(studiesFolder);
  const content = studyText(record);
  return makeIn(folder, async () => {
    await makeFolderInThaw(folder, workspaceOfStudies(folder));
    const directory = path.join(folder, record.id);
    await writeFolderAtomic(directory, new Map([[FILE, Buffer.from(content)]]), () => Promise.resolve());
    return directory;
  });
}

/** `study.json` as it is written: checked, its keys in the schema's order. */
export function studyText(record: StudyRecord): string {
  return `${JSON.stringify(v.parse(studyRecordSchema, record), undefined, 1)}\n`;
}

/** The folder that must contain a study, where the caller knows no better. */
export function defaultStudyWithin(directory: string): string {
  const folder = path.dirname(path.resolve(directory));
  return workspaceOfStudies(folder) ?? folder;
}

/** A study.json, and what its written state means now. Never throws for what stands in the folder. */
export async function readStudyRecord(directory: string, options: { readonly within?: string | undefined; readonly now?: number } = {}): Promise<{ readonly record: StudyRecord; readonly state: Awaited<ReturnType<typeof stateNow>> } | UnreadableStudy> {
  const id = path.basename(path.resolve(directory));
  try {
    if (!RUN_ID.test(id)) throw new UnsafePath('its name is not that of a study');
    const real = assertRealFolders(directory, options.within ?? defaultStudyWithin(directory));
    const bytes = await readGuarded(path.join(real, FILE), MAX_STUDY_BYTES);
    if (bytes === undefined) throw new UnsafePath(`it has no ${FILE}`);
    const record = parseJson(studyRecordSchema, bytes.toString('utf8'), FILE);
    if (record.id !== id) throw new UnsafePath(`its ${FILE} is that of another study, ${JSON.stringify(record.id)}`);
    if (!areRunsOf(record.plan, record.runs)) throw new UnsafePath(`the runs in its ${FILE} are not those of its plan`);
    return { record, state: await stateNow(real, record.state, options.now ?? Date.now()) };
  } catch (error) {
    const reason = unreadableReason(error);
    if (reason === undefined) throw error;
    return { directory: path.resolve(directory), id: id.slice(0, 200), reason };
  }
}

/** The studies of a folder, the newest first. A folder that isn't there has none. */
export async function listStudies(studiesFolder: string): Promise<string[]> {
  const folder = path.resolve(studiesFolder);
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory() && RUN_ID.test(entry.name)).map(({ name }) => name).sort().reverse().slice(0, MOST_STUDIES).map((name) => path.join(folder, name));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** The side of the one process that executes a study. */
export class StudyWriter {
  #record: StudyRecord;
  readonly #timer: NodeJS.Timeout;
  #writing: Promise<void> = Promise.resolve();
  #lastStopCheckAt = -Infinity;
  #stop = false;
  #closed = false;

  private constructor(readonly directory: string, private readonly within: string, record: StudyRecord, private readonly claim: Claim, private readonly heartbeat: number) {
    this.#record = record;
    this.#beat();
    this.#timer = setInterval(() => { this.#beat(); }, HEARTBEAT_EVERY_MS);
    this.#timer.unref();
  }

  /**
   * Claims a study to execute it, also one that was interrupted, stopped or finished before. A request to stop from before it
   * began anew is forgotten; one that came before it ever began is heeded.
   * @throws ThawError `run-is-locked` while another process has it, `study-unreadable`, `unsafe-path`
   */
  static async open(directory: string, options: { readonly nonce: string; readonly within?: string | undefined }): Promise<StudyWriter> {
    if (!NONCE.test(options.nonce)) throw new ThawError('input', 'bad-nonce', 'The nonce is not 32 hexadecimal digits', 'Start the study from the editor, or with `thaw study`');
    const within = options.within ?? defaultStudyWithin(directory);
    const real = assertWritableFolders(directory, within);
    const claims = trainerClaims(real);
    await assertNobodyWrites(real);
    const claim = await claimRun(real, claims, options.nonce);
    try {
      const read = await readStudyRecord(real, { within: path.dirname(real) });
      if ('reason' in read) throw new ThawError('run', 'study-unreadable', `The study ${real} can't be used: ${read.reason}`, 'Start a new study');
      await removeTemporaries(real);
      if (read.record.startedAt !== undefined) await unlink(path.join(real, STOP_FILE)).catch((error: unknown) => { if (!isMissing(error)) throw error; });
      return new StudyWriter(real, path.dirname(real), read.record, claim, openGuarded(path.join(real, HEARTBEAT_FILE), constants.O_WRONLY));
    } catch (error) {
      claim.remove();
      removeEmptyFolder(claims);
      throw error;
    }
  }

  get record(): StudyRecord {
    return this.#record;
  }

  /** Writes `study.json` with these fields changed, whole or not at all, in the order of the calls. */
  async update(change: Partial<Omit<StudyRecord, 'id' | 'schemaVersion'>>): Promise<void> {
    const record = { ...this.#record, ...change };
    const content = studyText(record);
    this.#record = record;
    const turn = this.#writing.then(async () => {
      assertWritableFolders(this.directory, this.within);
      await writeFileAtomic(path.join(this.directory, FILE), content);
    });
    this.#writing = turn.catch(() => undefined); // its caller has the error; the next write goes on
    await turn;
  }

  /** Whether somebody asked the study to stop, or took its folder away; looks at most every 100 ms. */
  stopRequested(): boolean {
    const now = performance.now();
    if (this.#stop || now - this.#lastStopCheckAt < STOP_CHECK_EVERY_MS) return this.#stop;
    this.#lastStopCheckAt = now;
    this.#stop = isThere(path.join(this.directory, STOP_FILE)) || !isThere(path.join(this.directory, FILE));
    return this.#stop;
  }

  /** Lets go of the study. Without a final state it then reads as interrupted, at once. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#writing;
    futimesSync(this.heartbeat, 0, 0);
    closeSync(this.heartbeat);
    this.claim.remove();
    removeEmptyFolder(trainerClaims(this.directory));
  }

  #beat(): void {
    const now = new Date();
    futimesSync(this.heartbeat, now, now);
  }
}

export interface StopStudyOptions {
  readonly within?: string | undefined;
  /** How long its process may take to end the run that it is at, milliseconds. */
  readonly graceMs?: number;
}

/**
 * Asks a study's process to stop, by the `stop` file in its folder, and waits. One that doesn't end is ended by a signal, if it is proved to be that
 * process; the study then reads as interrupted. Either way the same study can be resumed.
 * @throws ThawError `stop-unanswered` when no process is proved to be the trainer; the request stays
 */
export async function stopStudy(directory: string, options: StopStudyOptions = {}): Promise<'stopped' | 'killed' | 'not-running'> {
  const { within = defaultStudyWithin(directory), graceMs = 60_000 } = options;
  const real = assertWritableFolders(directory, within);
  const stateOf = async (): Promise<string> => {
    const read = await readStudyRecord(real, { within: path.dirname(real) });
    if ('reason' in read) throw new ThawError('run', 'study-unreadable', `The study ${directory} can't be stopped: ${read.reason}`, 'Look into the folder');
    return isLiveState(read.state) ? 'live' : read.state;
  };
  if (await stateOf() !== 'live') return 'not-running';
  requestStop(real);
  for (const asked = performance.now(); performance.now() - asked < graceMs;) {
    const state = await stateOf();
    if (state !== 'live') return state === 'interrupted' ? 'not-running' : 'stopped';
    const trainers = trainersOf(real);
    if (trainers.length > 0 && trainers.every(({ liveness }) => liveness === 'dead')) {
      if (await stateOf() === 'live') ageHeartbeat(real);
      return 'not-running';
    }
    await delay(100);
  }
  const proved = trainersOf(real).map(({ identity }) => identity).filter(isProvedTrainer);
  if (proved.length === 0) {
    throw new ThawError('run', 'stop-unanswered', `The trainer of ${path.basename(real)} has not answered within ${Math.round(graceMs / 1000)} s, and no process here is proved to be it`,
      'The request stays and is honoured at its next batch; a study of `thaw study` can be stopped in its terminal with Ctrl-C');
  }
  for (const identity of proved) await endTrainer(identity, 2000);
  if (await stateOf() === 'live') ageHeartbeat(real);
  return 'killed';
}
